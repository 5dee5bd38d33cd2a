"""The labelled wishes: every line complete, its labels in agreement, nothing twice, enough of everything."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "runner" / "routing" / "wishes"
PARTS = ("develop", "held_out")
FIELDS = {
    "prompt": str,
    "reference": bool,
    "category": (str, type(None)),
    "pipeline": str,
    "controls": list,
    "use_reference": bool,
    "whole_image": bool,
    "target": list,
    "edits": int,
    "language": str,
    "tags": list,
}
SIMPLE = {"colour", "material", "removal", "background", "light", "appearance"}
CONTROLS = {"clothes": ["pose"], "person": ["pose"], "object": ["depth"], "restyle": ["depth"]}
WHOLE = {"light", "restyle", None}
LANGUAGES = {"en", "zh", "es", "de", "fr"}
LONG = 200  # characters

AT_LEAST = {
    "reference": 30,
    "several": 20,
    "negation": 15,
    "no-verb": 15,
    "question": 15,
    "typo": 15,
    "long": 10,
    "named-colour": 12,
    "hostile": 10,
}
TAGS = {*AT_LEAST, "british", "imperative", "real-estate", "reference-missing", "shopping", "slang", "statement"}


def read(part: str) -> list[dict]:
    lines = (FOLDER / f"{part}.jsonl").read_text(encoding="utf-8").split("\n")
    assert lines.pop() == "", "the last line ends in a newline"
    return [json.loads(line) for line in lines]


WISHES = {part: read(part) for part in PARTS}
BOTH = [wish for part in PARTS for wish in WISHES[part]]


def words(prompt: str) -> str:
    """The prompt without case, punctuation and spaces, or itself where no letter or figure is left."""
    return re.sub(r"[\W_]+", "", prompt.casefold()) or prompt.strip()


def disagreements(wish: dict) -> list[str]:
    """What in the labels of ``wish`` contradicts the definitions in the folder's README."""
    category, several = wish["category"], wish["edits"] > 1
    own = CONTROLS.get(category, [])
    controls = wish["controls"]
    checks = {
        "category": category is None or category in SIMPLE | set(CONTROLS),
        "pipeline": wish["pipeline"] == ("complex" if controls else "simple"),
        "controls": set(own) <= set(controls) <= {"pose", "depth"} if several else controls == own,
        "order of controls": controls == sorted(set(controls), reverse=True),
        "use_reference": wish["reference"] or not wish["use_reference"],
        "reference unused": several or category not in {"removal", "light", None} or not wish["use_reference"],
        "whole_image": wish["whole_image"] == (not wish["target"]) == (category in WHOLE),
        "target": all(noun and noun == noun.strip().lower() and noun.isascii() for noun in wish["target"]),
        "target twice": len(set(wish["target"])) == len(wish["target"]),
        "edits": wish["edits"] >= 1 and several == ("several" in wish["tags"]),
        "language": wish["language"] in LANGUAGES,
        "tags": set(wish["tags"]) <= TAGS and len(set(wish["tags"])) == len(wish["tags"]),
        "reference tag": wish["reference"] == ("reference" in wish["tags"]),
        "long tag": (len(wish["prompt"]) > LONG) == ("long" in wish["tags"]),
        "hostile tag": category is not None or "hostile" in wish["tags"],
    }
    return [name for name, holds in checks.items() if not holds]


@pytest.mark.parametrize("part", PARTS)
def test_every_line_has_every_field_and_no_other(part):
    for number, wish in enumerate(WISHES[part], 1):
        assert list(wish) == list(FIELDS), f"line {number}"
        wrong = [name for name, kind in FIELDS.items() if not isinstance(wish[name], kind)]
        assert not wrong, f"line {number}: {wrong}"
        assert wish["prompt"], f"line {number}"


@pytest.mark.parametrize("part", PARTS)
def test_labels_agree_with_each_other(part):
    found = {number: names for number, wish in enumerate(WISHES[part], 1) if (names := disagreements(wish))}
    assert not found


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"pipeline": "complex"}, "pipeline"),
        ({"controls": ["depth"], "pipeline": "complex"}, "controls"),
        ({"category": "restyle"}, "whole_image"),
        ({"use_reference": True}, "use_reference"),
        ({"target": ["Car"]}, "target"),
        ({"edits": 2}, "edits"),
        ({"category": None}, "hostile tag"),
    ],
)
def test_a_wrong_label_is_noticed(change, name):
    wish = next(w for w in WISHES["develop"] if w["category"] == "colour" and w["tags"] == ["imperative"])
    assert disagreements(wish) == []
    assert name in disagreements(wish | change)


def test_no_wish_stands_twice_within_or_across_the_parts():
    counts = Counter(words(wish["prompt"]) for wish in BOTH)
    assert [text for text, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("part", PARTS)
def test_there_are_enough_of_every_kind(part):
    wishes = WISHES[part]
    assert len(wishes) >= 320
    categories = Counter(wish["category"] for wish in wishes)
    assert {name: categories[name] for name in SIMPLE | set(CONTROLS) if categories[name] < 25} == {}
    languages = Counter(wish["language"] for wish in wishes)
    assert {name: languages[name] for name in LANGUAGES if languages[name] < 12} == {}
    tags = Counter(tag for wish in wishes for tag in wish["tags"])
    assert {name: tags[name] for name, least in AT_LEAST.items() if tags[name] < least} == {}
    assert max(len(wish["prompt"]) for wish in wishes) == 10_000


def test_the_readme_counts_what_there_is():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = {name: (int(a), int(b)) for name, a, b in re.findall(r"^\| ([\w -]+) \| (\d+) \| (\d+) \|$", page, re.M)}
    counts = []
    for part in PARTS:
        count = Counter({"all": len(WISHES[part])})
        for wish in WISHES[part]:
            count.update([wish["category"] or "none", wish["language"], *wish["tags"]])
        counts.append(count)
    assert rows == {name: tuple(count[name] for count in counts) for name in set().union(*counts)}
