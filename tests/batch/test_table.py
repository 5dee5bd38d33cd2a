"""Tables as people have them: spreadsheets' dialects and encodings, JSON Lines, folders."""

import json

import pytest
from imageine.runner.batch.table import read_table
from imageine.runner.errors import InputError


def write(tmp_path, name: str, content: str | bytes):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def values(path) -> list[dict]:
    return [row.values for row in read_table(path)[0]]


WANTED = [{"image": "a.jpg", "prompt": 'a "big", red\ncar; new'}, {"image": "Zürich 東京.png", "guidance": "7.5"}]
COMMAS = 'image,prompt,guidance\na.jpg,"a ""big"", red\ncar; new",\nZürich 東京.png,,7.5\n'
SEMICOLONS = 'image;prompt;guidance\r\na.jpg;"a ""big"", red\ncar; new";\r\nZürich 東京.png;;7,5\r\n'
TABS = 'image\tprompt\tguidance\na.jpg\t"a ""big"", red\ncar; new"\t\nZürich 東京.png\t\t7.5\n'


@pytest.mark.parametrize(
    "content",
    [
        COMMAS.encode(),
        COMMAS.encode("utf-8-sig"),
        COMMAS.encode("utf-16"),
        SEMICOLONS.encode("utf-8-sig"),
        TABS.encode("utf-16"),
        b"sep=;\r\n" + SEMICOLONS.encode(),
        COMMAS.replace("\n", "\r\n").replace("red\r\n", "red\n").encode(),
        COMMAS.replace("a.jpg,", "\n ,, \n\n a.jpg ,").encode(),
    ],
    ids=["plain", "mark", "utf-16", "excel", "unicode text", "sep line", "crlf", "empty lines"],
)
def test_csv_dialects(tmp_path, content):
    assert values(write(tmp_path, "jobs.csv", content)) == WANTED


def test_windows_1252_is_read_and_said(tmp_path):
    rows, notes = read_table(write(tmp_path, "jobs.csv", "image;wish\nà.jpg;größer\n".encode("cp1252")))
    assert rows[0].values == {"image": "à.jpg", "wish": "größer"}
    assert "Windows-1252" in notes[0]


def test_one_column_and_a_tsv(tmp_path):
    assert values(write(tmp_path, "jobs.csv", "prompt\nred\n\nblue\n")) == [{"prompt": "red"}, {"prompt": "blue"}]
    assert values(write(tmp_path, "jobs.tsv", "prompt\tseed\na, b; c\t1\n")) == [{"prompt": "a, b; c", "seed": "1"}]


def test_lines_are_those_of_the_file(tmp_path):
    rows, _ = read_table(write(tmp_path, "jobs.csv", 'a,b\n"x\ny",1\n\nz,2\n'))
    assert [(row.number, row.line, row.place) for row in rows] == [(1, 2, "Row 1 (line 2)"), (2, 5, "Row 2 (line 5)")]


def test_columns_without_a_name_may_be_empty(tmp_path):
    assert values(write(tmp_path, "jobs.csv", "a,b,,\n1,2,,\n")) == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("separator", ["\n", "\r\n", "\n\n"])
def test_json_lines(tmp_path, separator):
    entries = [{"image": "a.jpg", "steps": 4}, {"prompt": "line\u2028separator", "mask": None, "seed": 2**60}]
    text = separator.join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    wanted = [entries[0], {"prompt": "line\u2028separator", "seed": 2**60}]
    assert values(write(tmp_path, "jobs.jsonl", text.encode("utf-8-sig"))) == wanted


def test_a_folder_is_its_pictures_in_natural_order(make_photos):
    folder = make_photos("b10.png", "b2.png", "A.JPG", "é ü.webp", ".hidden.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "sub.png").mkdir()
    rows, _ = read_table(folder)
    assert [row.values["image"] for row in rows] == ["A.JPG", "b2.png", "b10.png", "é ü.webp"]
    assert {row.folder for row in rows} == {folder}


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("none.csv", None, "table_unreadable", "No such file"),
        ("jobs.xlsx", "PK", "table_unreadable", ".xlsx"),
        ("jobs.csv", "", "table_unreadable", "no row"),
        ("jobs.csv", "image,prompt\n\n", "table_unreadable", "no row"),
        ("jobs.csv", b"\x89PNG\r\n\x1a\n\0\0", "table_unreadable", "not text"),
        ("jobs.csv", 'a,b\n"unclosed,1\n', "table_unreadable", "no CSV"),
        ("jobs.csv", "a,a\n1,2\n", "table_invalid", "two columns 'a'"),
        ("jobs.csv", "a,b\n1,2,3\n", "table_invalid", "Row 1 (line 2) has a cell without a column: '3'"),
        ("jobs.jsonl", '{"a": 1}\n[1]\n{"a":\n', "table_invalid", "Row 2 "),
        ("jobs.jsonl", b'{"a": "\xff"}', "table_unreadable", "not text"),
    ],
)
def test_what_is_no_table(tmp_path, name, content, code, words):
    path = tmp_path / name if content is None else write(tmp_path, name, content)
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert caught.value.code == code
    assert words in caught.value.message


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(InputError, match="no picture"):
        read_table(tmp_path)
