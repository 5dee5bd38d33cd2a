"""Load Grounding DINO and Detect Objects inside every ComfyUI at hand."""

import pytest
from support import comfyui
from support.detectors import template

pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=list(comfyui.comfyui_dirs()))
def report(request, tmp_path_factory):
    base, extra = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("extra")
    folder = comfyui.comfyui_dirs()[request.param]
    return comfyui.run_inside(folder, "detection", template(), extra, base=base) | {"extra": extra, "base": base}


def test_default_and_extra_folders_are_both_listed_links_too(report):
    found = report["folders"]
    assert found["before"] == [] and found["after"] == ["linked", "plain"]
    assert found["paths"] == [str(report["extra"]), str(report["base"] / "models" / "grounding-dino")]
    assert found["extensions"] == [".safetensors"]
    assert found["found"].endswith("linked")


def test_a_model_that_is_not_listed_is_refused_with_the_next_step(report):
    refused = report["folders"]["refused"]
    assert len(refused) == 4
    assert all("imageine models pull" in one and "Found there: linked, plain" in one for one in refused)


def test_the_schemas(report):
    load, detect = report["schema"]["ImageineLoadGroundingDINO"], report["schema"]["ImageineDetectObjects"]
    assert load["display_name"] == "Load Grounding DINO" and detect["display_name"] == "Detect Objects"
    assert load["model"] == ["linked", "plain"] and load["outputs"] == ["IMAGEINE_GROUNDING_DINO"]
    assert detect["inputs"][:4] == ["detector", "image", "prompt", "box_threshold"]
    assert detect["outputs"] == ["BOUNDING_BOX", "STRING", "INT"]
    assert not load["silent"] and not detect["silent"]


def test_the_outputs(report):
    out = report["outputs"]
    assert len(out["frames"]) == 3 and all(out["frames"])
    assert out["count"] == sum(map(len, out["frames"]))
    assert out["labels"].count("\n") == 2
    assert out["chosen"] == [1, 1, 1]
    assert out["messages"][:2] == [True, True] and "has no word in it" in out["messages"][2]


def test_nothing_found_is_an_answer_with_a_message_on_the_node(report):
    out = report["outputs"]
    assert out["nothing"] == [[[], [], []], "\n\n", 0]
    assert out["texts"] == [None, ["Nothing found: car, red door (box threshold 1.00)"]]
    assert out["pictures"] == 6
    assert out["left"] == [f"Nothing left: {out['count']} found, but none within the labels, areas and index asked for"]


def test_core_nodes_take_the_boxes_as_they_are(report):
    core = report["core"]
    assert core["drawn"] == [3, 200, 300, 3] and core["masks"] == [3, 200, 300]
    assert core["asked"] == core["boxes"] > 0


def test_an_interrupt_stops_the_detection(report):
    assert report["interrupt"] == "stopped"


def test_comfyui_accounts_for_the_weights_and_can_take_them_back(report):
    memory = report["memory"]
    assert memory["loaded"] and memory["size"] >= memory["weights"] and memory["used"] == memory["size"]
    assert memory["part"] < memory["used"]
    assert not memory["listed after unload"]
    assert memory["used after unload"] == 0 and memory["elsewhere"] == 0
    assert memory["same after part"] and memory["same after unload"]
    assert not memory["alive"]
