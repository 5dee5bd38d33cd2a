"""Auto Edit in the embedded engine: Route Edit decides, and of the graph the chosen branch alone is computed."""

import contextlib
import types

import pytest
from imageine.runner.engines import embedded
from imageine.runner.engines.embedded.graph import NodeKind, Run
from imageine.runner.errors import WorkflowError

pytestmark = pytest.mark.skipif(bool(embedded.missing_packages()), reason="needs the extra [embedded]")
OUTPUTS = ("complex", "use_pose", "use_depth", "use_reference", "whole_image", "target", "prompt", "denoise", "edits")


def route(prompt: str, linked=(), **inputs) -> tuple[dict, list[str], list[str]]:
    """(Route Edit's outputs by name, which sources were computed, the texts shown)."""
    from imageine.runner.engines.embedded.router import ROUTER_NODES

    computed, saved, shown = [], [], []
    inputs = {"prompt": prompt, "use_reference": True, "override": "auto", "edit": 1, "box_threshold": 0.3} | inputs
    graph = {name: {"class_type": "Source", "inputs": {"name": name}} for name in linked}
    graph["route"] = {
        "class_type": "ImageineRouteEdit",
        "inputs": inputs | {name: [name, 0] for name in linked},
    }
    graph["save"] = {"class_type": "Save", "inputs": {name: ["route", at] for at, name in enumerate(OUTPUTS)}}
    kinds = ROUTER_NODES | {
        "Source": NodeKind(lambda studio, name: (computed.append(name),)),
        "Save": NodeKind(lambda studio, **values: saved.append(values) or (), is_output=True),
    }
    studio = types.SimpleNamespace(show=shown.append)
    Run(graph, kinds, studio, lambda node_id: contextlib.nullcontext()).finish()
    return saved[0], computed, shown


def test_a_sure_simple_wish_computes_nothing_else():
    found, computed, shown = route("make the car blue", linked=("image", "reference", "detector"))
    assert (found["complex"], found["target"], found["prompt"]) == (False, "car", "blue car")
    assert computed == []
    assert len(shown) == 1 and 'mask "car", paint "blue car"' in shown[0]


def test_the_detector_and_the_photo_where_a_pose_hangs_on_them():
    _, computed, _ = route("put her in a red dress", linked=("image", "reference", "detector"))
    assert sorted(computed) == ["detector", "image"]
    found, computed, _ = route("put her in a red dress", linked=("image",))  # nobody could look
    assert computed == [] and found["complex"] and found["use_pose"]


def test_only_that_there_is_a_reference_counts():
    found, computed, _ = route("put this jacket on him", linked=("reference",))
    assert found["use_reference"] and computed == []
    assert not route("put this jacket on him", linked=("reference",), use_reference=False)[0]["use_reference"]
    assert not route("put this jacket on him")[0]["use_reference"]


def test_override_edit_and_denoise():
    assert not route("put her in a red dress", override="simple")[0]["complex"]
    two = "make the car blue and remove the lamp"
    assert [route(two, edit=number)[0]["target"] for number in (1, 2)] == ["car", "lamp"]
    with pytest.raises(ValueError, match="has 2"):
        route(two, edit=3)
    assert route("make it night")[0]["denoise"] == 0.6 and route("make it night")[0]["whole_image"]


def test_what_it_cannot_do_is_said():
    with pytest.raises(ValueError, match="no word"):
        route("...")
    with pytest.raises(WorkflowError) as caught:
        route("make the car blue", linked=("clip",))
    assert caught.value.code == "workflow_unfit" and "CLIP" in caught.value.message
