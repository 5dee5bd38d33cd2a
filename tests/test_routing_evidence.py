"""What a detector saw changes a decision."""

import pytest
from imageine.nodes.algorithms.routing import evidence
from imageine.nodes.algorithms.routing.decision import new_edit


def edit(category, target="", confidence=0.9):
    return new_edit(category, target, "new", confidence=confidence, reasons=("A rule.",), use_reference=True)


def test_a_person_and_the_garment_there_leave_a_decision_alone():
    before = edit("clothes", "T-shirt")
    assert evidence.weigh(before, ["a woman", "t-shirt"]) == before


def test_nobody_there_no_pose():
    found = evidence.weigh(edit("clothes", "T-shirt"), ["t-shirt"])
    assert found.controls == ("depth",) and found.pipeline == "complex" and found.confidence == 0.9
    assert found.reasons[-1].startswith("Nobody was found in the photo")


@pytest.mark.parametrize("label", ["person", "men", "two girls", "firefighter", "a lady in red"])
def test_people_are_known_by_many_names(label):
    assert evidence.weigh(edit("person", "woman"), [label]).controls == ("pose",)
    assert evidence.weigh(edit("person", "woman"), [label]).confidence == 0.9


@pytest.mark.parametrize(
    ("target", "labels", "seen"),
    [
        ("sofa", ["sofa"], True),
        ("red sofa", ["large sofa"], True),
        ("red sofa", ["red door"], False),
        ("chairs", ["chair"], True),
        ("knife", ["knives"], True),
        ("cup on the table", ["table"], False),
        ("cup on the table", ["cup"], True),
        ("car", [], False),
        ("sky", [], True),  # a place: detectors find things
        ("wall behind him", ["person"], True),
    ],
)
def test_the_named_object_there_or_not(target, labels, seen):
    found = evidence.weigh(edit("colour", target), labels)
    assert found.confidence == (0.9 if seen else 0.45)
    assert (f"No {target} was found in the photo." in found.reasons) == (not seen)
    assert found.category == "colour" and found.use_reference


def test_a_garment_on_a_person_is_clothes():
    found = evidence.weigh(edit("object", "straw hat", 0.6), ["person", "hat"])
    assert found.category == "clothes" and found.controls == ("pose",) and found.use_reference
    assert found.confidence == 0.9 and "so it is about clothes" in found.reasons[-1]
    assert evidence.weigh(edit("object", "straw hat"), ["hat", "table"]).category == "object"


def test_the_whole_photo_is_always_there():
    before = edit("light")
    assert evidence.weigh(before, []) == before


def test_only_what_matters_is_looked_for():
    assert evidence.questions([edit("colour", "car")]) == []
    assert evidence.questions([edit("restyle")]) == []
    assert evidence.questions([edit("background", "sky", 0.3)]) == []
    assert evidence.questions([edit("colour", "car", 0.5)]) == ["car"]
    assert evidence.questions([edit("clothes", "T-shirt")]) == ["T-shirt", "person"]
    assert evidence.questions([edit("person", "woman")]) == ["woman"]
    assert evidence.questions([edit("object", "hat")]) == ["hat", "person"]
    assert evidence.questions([edit("colour", "hat")]) == []
    both = evidence.questions([edit("colour", "car"), edit("clothes", "coat"), edit("colour", "car")])
    assert both == ["car", "coat", "person"]
