"""What a batch leaves to look at: the report, the contact sheet, and what the command prints."""

import html.parser
import io
import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from imageine.runner import run_batch
from imageine.runner.batch import contact_sheet
from imageine.runner.batch.contact_sheet import Cell, write_sheets
from PIL import Image
from support.edit_server import DATA, paint

SMALL = str(DATA / "small_edit.json")
HOSTILE = "<script>alert(1)</script> \"'&amp; <img src=x onerror=alert(2)> javascript:alert(3)"


class Page(html.parser.HTMLParser):
    """The tags, links, pictures and text of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags, self.links, self.pictures, self.attributes, self.text = set(), [], [], [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        values = dict(attrs)
        self.attributes += values
        self.links += [values["href"]] if "href" in values else []
        self.pictures += [values["src"]] if "src" in values else []

    def handle_data(self, data):
        self.text += data


async def fail_wide(server, job):
    """Photos of more than 20 pixels fail, with a message that is hostile too."""
    if Image.open(io.BytesIO(server._picture(job))).width > 20:
        problem = {"node_id": "7", "exception_type": "ValueError", "exception_message": HOSTILE, "traceback": []}
        server.finish(job, {}, "error", [["execution_error", problem]])
    else:
        await paint(server, job)


@pytest.fixture
def result(server, make_photos, tmp_path):
    server.script = fail_wide
    make_photos("javascript:alert(3).png", "b#?%20é.png")
    rows = [
        {"image": "photos/javascript:alert(3).png", "prompt": HOSTILE, "name": HOSTILE},
        {"image": "photos/b#?%20é.png", "prompt": "y", "name": "second"},
    ]
    table = tmp_path / "jobs.jsonl"
    table.write_text("\n".join(map(json.dumps, rows)))
    return run_batch(SMALL, tmp_path / "out", table=table, server=server.url, name="{name}")


def test_everything_in_the_report_is_escaped(result):
    page = Page(result.report)
    assert page.tags.isdisjoint({"script", "iframe", "object", "link"})
    assert not [name for name in page.attributes if name.startswith("on")]
    assert page.text.count(HOSTILE) >= 3  # name, prompt, error: to be read, not run


def test_the_report_needs_nothing_else_and_leads_to_the_files(result):
    page = Page(result.report)
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.pictures)
    assert len(page.pictures) == 2  # before and after of the one that is done
    assert all(link.startswith("./") for link in page.links)
    targets = [result.report.parent / unquote(link) for link in page.links]
    assert all(target.exists() for target in targets)
    made = list(result.folder.glob("*.png"))
    assert {target.resolve() for target in targets} >= {made[0].resolve(), result.failures.resolve()}


def test_failures_come_first_with_what_to_do(result):
    text = Page(result.report).text
    assert "2 jobs: 1 done, 1 failed" in text
    assert text.index("Failed (1)") < text.index("Results")
    assert "job_failed" in text


def test_thumbnails_of_a_large_batch_lie_beside_the_report(server, make_photos, tmp_path, monkeypatch):
    monkeypatch.setattr("imageine.runner.batch.report._MOST_EMBEDDED", 1)
    result = run_batch(SMALL, tmp_path / "out", table=make_photos("a.png", "b.png"), server=server.url)
    sources = Page(result.report).pictures
    assert len(sources) == 4
    assert all((result.folder / unquote(source)).exists() for source in sources)


def test_contact_sheet_pages(tmp_path):
    photo = tmp_path / "thumbnail.jpg"
    Image.new("RGB", (256, 128), "red").save(photo)
    count = contact_sheet.COLUMNS * contact_sheet.ROWS + 1
    cells = [Cell("東京 <b>", "seed 1, prompt " + "x" * 900, photo)] * (count - 1) + [Cell("z", "", None, "job_failed")]
    (tmp_path / "contact-sheet-9.jpg").write_bytes(b"of a longer batch")
    (tmp_path / "contact-sheet-mine.jpg").write_bytes(b"not ours")
    pages = write_sheets(tmp_path, "Title", cells)
    assert [page.name for page in pages] == ["contact-sheet-1.jpg", "contact-sheet-2.jpg"]
    assert sorted(path.name for path in tmp_path.glob("contact*")) == [
        *(page.name for page in pages),
        "contact-sheet-mine.jpg",
    ]
    with Image.open(pages[0]) as page:
        red = [page.getpixel((16 + 256 * column + 120, 48 + 120 + 60)) for column in range(5)]
        assert all(pixel[0] > 200 and pixel[1] < 60 for pixel in red)


def test_a_thumbnail_that_is_broken_costs_only_itself(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    assert write_sheets(tmp_path, "Title", [Cell("a", "", tmp_path / "broken.jpg", "no picture")])
    assert write_sheets(tmp_path, "Title", []) == []


def test_the_command_piped(server, make_photos, tmp_path, imageine):
    arguments = [SMALL, "--table", make_photos("a.png", "b.png"), "-o", tmp_path / "out", "--server", server.url]
    result = imageine(*arguments, "--sweep", "seed=1,2", "--set", "prompt=x")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'out' / 'report.html'}\n"
    lines = result.stderr.splitlines()
    assert lines[0] == "4 jobs."
    ends = [line for line in lines if re.fullmatch(r"[1-4] of 4 \S+\.png(, .* left)?", line)]
    assert [line[0] for line in ends] == ["1", "2", "3", "4"]
    assert lines[-1].startswith("4 jobs: 4 done, in ")


def test_the_command_with_failures(server, make_photos, tmp_path, imageine):
    server.script = fail_wide
    arguments = [SMALL, "--table", make_photos("a.png", "b.png"), "-o", tmp_path / "out", "--server", server.url]
    result = imageine(*arguments, "--json", "--retries", "1")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["done"], told["failed"], told["left"]) == (5, 1, 1, 0)
    assert told["failed_jobs"][0]["code"] == "job_failed"
    assert "Trying it again." in result.stderr
    result = imageine(*arguments, "-q")
    assert (result.exit_code, result.stdout) == (5, "")
    assert f"{tmp_path / 'out' / 'failures.csv'}" in result.stderr


def test_the_command_with_a_bad_table(tmp_path, imageine):
    table = tmp_path / "jobs.csv"
    table.write_text("promt\nx\n")
    result = imageine(SMALL, "--table", table, "-o", tmp_path / "out", "--json")
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["code"]) == (2, "table_invalid")
    assert error["details"]["problems"][0]["column"] == "promt"
    assert "Did you mean 'prompt'?" in result.stderr
