"""Route Edit inside every ComfyUI at hand."""

import pytest
from support import comfyui

pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=list(comfyui.comfyui_dirs()))
def report(request, seeded_models, tmp_path_factory):
    checkpoint = seeded_models / "checkpoints" / "sd-v1-5-inpainting.safetensors"
    folder = comfyui.comfyui_dirs()[request.param]
    return comfyui.run_inside(folder, "routing", checkpoint, base=tmp_path_factory.mktemp("base"))


def test_a_checkpoints_clip_serves_as_encoder(report):
    """Many texts in one go are what core's own encoder makes of each."""
    found = report["clip"]
    assert found["shape"] == [3, 768] and found["type"] == "float32"
    assert found["lengths"] == pytest.approx([1, 1, 1], abs=1e-5)
    assert found["difference"] < 1e-5 and found["apart"] < 0.9999


def test_it_asks_only_for_what_could_change_the_decision(report):
    lazy = report["lazy"]
    assert lazy["sure"] == [] and lazy["whole"] == []
    assert lazy["unsure"] == ["clip"]
    assert lazy["clothes"] == ["image", "detector"]
    assert lazy["clothes, image there"] == ["detector"]
    assert lazy["clothes, no detector"] == []


def test_a_person_found_keeps_the_pose(report):
    found = report["found"]["person"]
    assert len(found["asked"]) == 1 and "person" in found["asked"][0]
    is_complex, pose, depth, reference, whole, target, prompt, denoise, edits, reason = found["outputs"]
    assert (is_complex, pose, depth, reference, whole) == (True, True, False, False, False)
    assert target and "red dress" in prompt and denoise == 1.0 and edits == 1
    assert found["text"] == [reason] and found["pictures"] == 1
    assert reason.startswith("Complex with pose: ") and "sure)." in reason


def test_nobody_found_keeps_the_depth(report):
    found = report["found"]["nobody"]
    assert found["outputs"][1:3] == [False, True]
    assert "Nobody was found in the photo" in found["outputs"][-1]
