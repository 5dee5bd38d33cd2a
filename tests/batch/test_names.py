"""Sweeps, and names of files: safe, distinct and writable whatever the values are."""

import pytest
from imageine.runner.batch.names import Names, Template
from imageine.runner.batch.sweeps import MOST_JOBS, grid, parse_sweeps
from imageine.runner.errors import InputError


def test_sweeps():
    sweeps = parse_sweeps(["seed=1..3,10", "guidance=5, 7.5", 'prompt="red, dark",blue', "shift=-2..0"])
    assert sweeps["seed"] == [1, 2, 3, "10"]
    assert sweeps["guidance"] == ["5", "7.5"]
    assert sweeps["prompt"] == ["red, dark", "blue"]
    assert sweeps["shift"] == [-2, -1, 0]


def test_a_grid_is_every_combination():
    assert grid({"a": [1, 2], "b": [3, 4]}, 1) == [
        {"a": 1, "b": 3},
        {"a": 1, "b": 4},
        {"a": 2, "b": 3},
        {"a": 2, "b": 4},
    ]
    assert grid({}, 1) == [{}]


@pytest.mark.parametrize(
    "sweeps",
    [["seed"], ["=1"], ["seed="], ["seed=8..1"], [f"seed=0..{MOST_JOBS}"], ["a=1", "a=2"], ["a=1,1"], ["a=1..2,2"]],
)
def test_what_is_no_sweep(sweeps):
    with pytest.raises(InputError) as caught:
        parse_sweeps(sweeps)
    assert caught.value.code == "option_invalid"


def test_too_many_jobs():
    with pytest.raises(InputError, match=r"1,000,000 jobs"):
        grid({"a": list(range(1000))}, 1000)


HOSTILE = [
    "../../etc/passwd",
    "..",
    ".",
    "",
    "   ",
    "/absolute",
    "C:\\windows\\system32",
    "a\0b\nc\x1b[31m",
    "con",
    "NUL.png",
    "COM1",
    "trailing. . .",
    "~/x",
    "$(rm -rf)",
    "ü" * 500,
    "語" * 500,
    "\u202egnp.exe",
    'a<b>c:d"e|f?g*h',
    "\ud800broken",
    "-rf",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_one_file_in_the_folder(tmp_path, value):
    root = tmp_path / "out"
    root.mkdir()
    name = Template("{v}", ["v"]).fill({"v": value})
    path = root / f"{name}.png"
    path.write_bytes(b"x")
    assert path.resolve().parent == root.resolve()
    assert len(name.encode()) <= 120
    assert name.split(".")[0].casefold() not in {"con", "nul", "com1"}
    assert not name.endswith((".", " ")) and name.isprintable()


def test_folders_come_from_the_template_alone(tmp_path):
    template = Template("{prompt}/{row}", ["prompt", "row"])
    assert template.fill({"prompt": "a/b/..", "row": "0001"}) == "a_b_/0001"


@pytest.mark.parametrize("value", ["report.html", "batch.jsonl", "0001-a.png", "x.y.PNG"])
def test_a_folder_never_has_the_name_of_a_file(value):
    folder = Template("{v}/{v}", ["v"]).fill({"v": value}).split("/")[0]
    assert folder == value[::-1].replace(".", "_", 1)[::-1]
    assert Template("{v}/x", ["v"]).fill({"v": "7.5"}) == "7.5/x"


def test_long_values_that_differ_at_the_end_stay_different():
    template = Template("{v}", ["v"])
    assert template.fill({"v": "x" * 300 + "1"}) != template.fill({"v": "x" * 300 + "2"})


@pytest.mark.parametrize(
    "text", ["../{row}", "/tmp/{row}", "{row}/", "a//b", "{row", "row}", "{}", "{rows}", "{row.__class__}", "."]
)
def test_bad_templates(text):
    with pytest.raises(InputError) as caught:
        Template(text, ["row", "name"])
    assert caught.value.code == "option_invalid"


def test_a_wrong_field_names_the_closest():
    with pytest.raises(InputError) as caught:
        Template("{promt}", ["row", "prompt"])
    assert "Did you mean {prompt}?" in caught.value.hint


def test_names_are_distinct_where_case_does_not_count():
    names = Names()
    names.keep("a.png")
    assert [names.take("A", ".png"), names.take("a", ".png"), names.take("a", ".jpg")] == [
        "A-2.png",
        "a-3.png",
        "a.jpg",
    ]
    assert len({names.take("same") for _ in range(2000)}) == 2000
