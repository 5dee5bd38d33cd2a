"""Load Segment Anything, Segment Boxes, Mask by Text and Refine Mask inside every ComfyUI at hand."""

import pytest
from support import comfyui
from support.tiny_segment_anything import template

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=list(comfyui.comfyui_dirs()))
def report(request, tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    folder = comfyui.comfyui_dirs()[request.param]
    generation = 2 if hasattr(transformers, "Sam2Model") else 1
    return comfyui.run_inside(folder, "masking", template(generation), base=base)


def test_the_schemas(report):
    schema = report["schema"]
    assert {name: one["display_name"] for name, one in schema.items()} == {
        "ImageineLoadSegmentAnything": "Load Segment Anything",
        "ImageineSegmentBoxes": "Segment Boxes",
        "ImageineMaskByText": "Mask by Text",
        "ImageineRefineMask": "Refine Mask",
    }
    assert not any(one["silent"] for one in schema.values())
    by_text = schema["ImageineMaskByText"]
    assert by_text["inputs"][:4] == ["detector", "image", "prompt", "box_threshold"]
    assert by_text["optional"] == ["sam", "mask"] and by_text["outputs"] == ["MASK", "BOUNDING_BOX", "INT"]
    assert set(by_text["shown"]) == {"detector", "image", "prompt", "box_threshold", "target", "grow", "sam", "mask"}
    assert schema["ImageineSegmentBoxes"]["inputs"] == ["sam", "image", "bboxes"]
    assert schema["ImageineSegmentBoxes"]["outputs"] == ["MASK", "MASK"]
    assert schema["ImageineRefineMask"]["shown"] == ["mask", "threshold", "grow", "feather"]


def test_a_painted_mask_needs_no_model(report):
    for case, batch in (("painted", 2), ("painted, no prompt", 1)):
        one = report["lazy"][case]
        assert sorted(one["ran"]) == ["images", "paint"] and not one["failures"]
        assert one["shape"] == [batch, 48, 64] and all(one["filled"]) and one["count"] == batch


def test_models_load_for_the_images_without_paint(report):
    half = report["lazy"]["half painted"]
    assert set(half["ran"]) == {"images", "paint", "detector", "sam", "detect 1"} and not half["failures"]
    assert half["shape"] == [2, 48, 64] and half["filled"][0]
    assert [frame[0]["label"] for frame in half["frames"]] == ["painted", "car"]
    nothing = report["lazy"]["nothing painted"]
    assert "detect 2" in nothing["ran"] and [len(frame) for frame in nothing["frames"]] == [1, 0]


def test_sam_and_the_painted_mask_may_be_left_out(report):
    one = report["lazy"]["no mask, no sam"]
    assert sorted(one["ran"]) == ["detect 2", "detector", "images"]
    assert one["filled"] == [True, False] and one["count"] == 1


def test_an_empty_prompt_fails_before_a_model_is_loaded(report):
    one = report["lazy"]["no prompt"]
    assert "detector" not in one["ran"] and "has no word in it" in one["failures"][0]
    constant = report["validation"]["punctuation"]
    assert constant["ran"] == [] and "has no word in it" in constant["refused"][0]
    assert report["validation"]["target instead"]["count"] == 1


def test_what_happens_where_nothing_is_found(report):
    assert report["lazy"]["error"]["failures"][0].startswith("Nothing found for 'car' above 0.30")
    assert report["lazy"]["whole image"]["filled"] == [True, True]


def test_the_outputs(report):
    out = report["outputs"]
    assert out["masks"] == [[3, 48, 64], [3, 48, 64], [3, 48, 64], [1, 48, 64], [3, 48, 64]]
    assert out["types"] == ["torch.float32"] and out["empty"] == [False] * 3 and out["union"]
    assert out["texts"] == [["3 objects segmented"], ["No box to segment"]] and out["pictures"] == 3
    assert "imageine models pull" in out["missing"]


def test_an_interrupt_stops_the_segmentation(report):
    assert report["outputs"]["interrupt"] == "stopped"


def test_comfyui_owns_the_weights(report):
    memory = report["memory"]
    assert memory["loaded"] and memory["after unload"] == 0 and memory["elsewhere"] == 0
    assert memory["same again"] and not memory["alive"]
