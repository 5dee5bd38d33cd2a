"""Which workflow does an edit, and with which settings; what ``edit`` refuses before it connects."""

import pytest
from imageine.nodes.algorithms import routing
from imageine.nodes.algorithms.routing.decision import CATEGORIES, Decision, new_edit
from imageine.runner import Workflow, edit, planning
from imageine.runner.errors import InputError
from PIL import Image


def an_edit(category, *, reference=False):
    return new_edit(category, "thing", "blue thing", confidence=0.9, reasons=("So it is.",), use_reference=reference)


def a_plan(category, *, reference=False):
    [plan] = planning.make_plans(Decision("wish", (an_edit(category, reference=reference),)))
    return plan


@pytest.mark.parametrize("category", CATEGORIES)
@pytest.mark.parametrize("reference", [False, True])
def test_every_edit_has_a_workflow_with_the_inputs_it_needs(category, reference):
    plan = a_plan(category, reference=reference)
    inputs = plan.workflow.inputs
    assert set(plan.settings) <= set(inputs) and plan.settings["prompt"] == "blue thing"
    assert plan.edit.use_reference <= ("reference" in inputs)
    controls = {name for name, switch in (("pose", "use_pose"), ("depth", "use_depth")) if plan.settings.get(switch)}
    if "use_pose" in inputs:
        assert controls == set(plan.edit.controls)
    # The whole photo: no search, or a mask over all of it.
    assert plan.mask_all == (plan.edit.whole_image and "target" in inputs)


@pytest.mark.parametrize(
    ("category", "reference", "name"),
    [
        ("colour", False, "Simple Edit"),
        ("material", True, "Simple Edit with Reference"),
        ("removal", True, "Simple Edit"),
        ("light", True, "Simple Edit"),
        ("clothes", False, "Complex Edit"),
        ("clothes", True, "Virtual Try-On"),
        ("object", False, "Complex Edit"),
        ("object", True, "Replace Object"),
        ("restyle", False, "Restyle Room"),
        ("restyle", True, "Restyle Room"),
    ],
)
def test_workflow_of_a_category(category, reference, name):
    assert a_plan(category, reference=reference).workflow.name == name


def test_switches_follow_the_decision():
    assert a_plan("object").settings | {"prompt": ""} == {
        "prompt": "", "target": "thing", "use_pose": False, "use_depth": True
    }  # fmt: skip
    assert a_plan("clothes", reference=True).settings["use_depth"] is False
    assert [a_plan("restyle", reference=on).settings["use_reference"] for on in (False, True)] == [False, True]


def test_light_paints_over_the_whole_photo_and_keeps_it_visible():
    plan = a_plan("light")
    assert plan.mask_all and plan.settings["denoise"] == routing.WHOLE_IMAGE_DENOISE < 1
    assert "denoise" not in a_plan("colour").settings


def test_a_workflow_that_routes_gets_the_wish_itself():
    decision = planning.decide("make the car blue and remove the tree")
    plans = planning.make_plans(decision, workflow=Workflow.load("Auto Edit"), reference=True)
    assert [plan.settings for plan in plans] == [
        {"prompt": decision.wish, "use_reference": True, "edit": number} for number in (1, 2)
    ]
    assert [plan.edit for plan in plans] == list(decision.edits)


def test_a_given_workflow_keeps_its_own_switches():
    decision = planning.decide("make the car blue")
    [plan] = planning.make_plans(decision, workflow=Workflow.load("Complex Edit"))
    assert plan.settings == {"prompt": "blue car", "target": "car"}


def test_forcing_a_pipeline():
    simple = planning.decide("put her in a red dress", pipeline="simple")
    assert (simple.pipeline, simple.controls, simple.target) == (
        "simple",
        (),
        planning.decide("put her in a red dress").target,
    )
    forced = planning.decide("make the car blue", pipeline="complex")
    assert (forced.pipeline, forced.controls) == ("complex", ("depth",))
    assert an_edit("appearance").forced("complex").controls == ("pose",)
    assert an_edit("colour").forced("simple") == an_edit("colour")
    assert "by hand" in forced.reasons[-1]


@pytest.mark.parametrize(
    ("wish", "options", "code", "words"),
    [
        ("blue car", {"pipeline": "fancy"}, "option_invalid", "simple"),
        ("blue car", {"pipeline": "simple", "workflow": "Simple Edit"}, "option_invalid", "--workflow"),
        ("?!", {}, "prompt_empty", "Say what to change"),
        ("make the car blue and remove the tree", {"target": "car"}, "option_invalid", "2 edits"),
        ("make the car blue and remove the tree", {"mask": Image.new("L", (8, 8))}, "option_invalid", "a mask"),
        ("a red jacket", {"workflow": "Virtual Try-On"}, "image_missing", "--reference"),
        ("a red jacket", {"reference": "nowhere.png"}, "image_missing", "reference picture 'nowhere.png'"),
        ("a red jacket", {"reference": b"no picture"}, "image_unreadable", "reference picture"),
    ],
)
def test_refused_before_anything_is_connected(wish, options, code, words):
    with pytest.raises(InputError) as caught:
        edit(Image.new("RGB", (8, 8)), wish, server="http://127.0.0.1:9", **options)
    assert caught.value.code == code and words in str(caught.value)
