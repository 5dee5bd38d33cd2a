"""ComfyUI's model management owns our models: after "unload models" nothing of ours is on the device."""

import pytest
from support import comfyui as comfyui_support


@pytest.fixture(scope="module")
def report(comfyui_dir, seeded_models, tmp_path_factory):
    """What inside/memory.py saw; on the GPU where there is one, else on the CPU."""
    from imageine.runner.demo import seeded

    return comfyui_support.run_inside(
        comfyui_dir,
        "memory",
        seeded.GROUNDING_DINO.name,
        seeded.SEGMENT_ANYTHING.name,
        base=tmp_path_factory.mktemp("memory"),
        models=seeded_models,
        cpu=not comfyui_support.has_accelerator(comfyui_dir),
    )


def test_models_are_loaded_through_comfyui(report):
    assert report["loaded_before"] == [True, True]
    assert report["devices_loaded"] == [report["device"].partition(":")[0]]
    assert not report["mask_is_empty"]


def test_nothing_is_left_after_unloading(report, figures):
    figures(f"after unload_all_models() on {report['device']}: {report['bytes_after']} bytes more than before loading")
    assert report["loaded_after"] == 0
    assert report["devices_after"] == ["cpu"]
    assert report["bytes_after"] <= 0


def test_works_again_after_unloading(report):
    assert report["same_again"]


def test_models_are_freed_with_their_last_user(report):
    assert report["still_alive"] == 0
