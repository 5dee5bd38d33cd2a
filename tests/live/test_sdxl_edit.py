"""The shipped SDXL templates through the runner on a real ComfyUI, with a short SDXL of seeded weights."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from imageine.runner.demo import blend_mask
from PIL import Image
from support import comfyui as comfyui_support
from support.traced_edits import pixels, run, suit

SHORT_SDXL = Path(__file__).parents[1] / "support" / "short_sdxl"
WITH_SHORT_SDXL = ("--whitelist-custom-nodes", "imageine", "short_sdxl")

MAPS = {"pose": "ImageineMapPose", "depth": "ImageineMapDepth"}


@pytest.fixture(scope="module")
def models(seeded_models, tmp_path_factory):
    pytest.importorskip("diffusers")
    from support import complex_models, seeded_sdxl

    folder = complex_models.models_folder(tmp_path_factory.mktemp("sdxl"), seeded_models)
    (folder / "checkpoints").unlink()  # a link into the shared folder
    return seeded_sdxl.models_folder(folder)


@pytest.fixture(scope="module")
def client(comfyui_dir, models, tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    shutil.copytree(SHORT_SDXL, base / "custom_nodes" / "short_sdxl")
    with (
        comfyui_support.server(comfyui_dir, models, base_directory=base, extra_args=WITH_SHORT_SDXL) as server,
        server.client() as client,
    ):
        yield client


@pytest.mark.parametrize("workflow", ["Simple Edit SDXL", "Complex Edit SDXL"])
def test_only_the_found_region_changes(workflow, client, photos, figures):
    photo = Image.open(photos["astronaut"])
    result, ran = run(client, photos["astronaut"], workflow)
    inside = np.asarray(blend_mask(client, result))
    difference = np.abs(pixels(result.image) - pixels(photo)).max(-1)
    figures(
        f"{workflow}, astronaut, short SDXL of seeded weights, 128 px, 2 steps: {len(ran)} nodes in "
        f"{result.seconds:.1f} s; 8-bit difference outside the blend mask at most {difference[~inside].max()}, inside "
        f"{difference[inside].mean():.0f}"
    )
    assert {"ImageineMaskByText", "CheckpointLoaderSimple", "KSampler"} <= set(ran)
    assert (set(MAPS.values()) <= set(ran)) == workflow.startswith("Complex")
    assert result.image.size == photo.size and 0 < inside.mean() < 1
    assert difference[~inside].max() == 0 and difference[inside].mean() > 5


def test_one_union_controlnet_serves_both_and_is_not_loaded_for_none(client, photos):
    results = {}
    for on in ([], ["pose"], ["depth"], ["pose", "depth"]):
        settings = {f"use_{kind}": kind in on for kind in MAPS}
        result, ran = run(client, photos["astronaut"], "Complex Edit SDXL", mask=suit(), settings=settings)
        assert {kind for kind in MAPS if MAPS[kind] in ran} == set(on)
        assert ran.count("ControlNetLoader") == bool(on) and ran.count("SetUnionControlNetType") == len(on)
        results[tuple(on)] = pixels(result.image)
    assert len({one.tobytes() for one in results.values()}) == len(results)


def test_the_union_controlnet_is_told_which_map_it_gets(client, photos):
    """The same depth map, announced as depth and as a pose."""
    images = []
    for kind in ("depth", "openpose"):
        settings = {"use_pose": False, "depth_control_net.type": kind}
        images.append(run(client, photos["astronaut"], "Complex Edit SDXL", mask=suit(), settings=settings)[0].image)
    assert not np.array_equal(*map(pixels, images))


def test_without_controls_it_is_simple_edit(client, photos):
    settings = {"use_pose": False, "use_depth": False}
    off, _ = run(client, photos["astronaut"], "Complex Edit SDXL", mask=suit(), settings=settings)
    simple, _ = run(client, photos["astronaut"], "Simple Edit SDXL", mask=suit())
    assert np.array_equal(pixels(off.image), pixels(simple.image))


@pytest.fixture(scope="module")
def report(comfyui_dir, models, tmp_path_factory):
    """What tests/support/inside/sdxl.py found: how core loads the files."""
    from support import seeded_ip_adapter, seeded_sdxl

    base = tmp_path_factory.mktemp("inside")
    channels = seeded_ip_adapter.widths("lite")
    parts = seeded_ip_adapter.nested(channels, token=seeded_sdxl.CONTEXT)
    adapter = seeded_ip_adapter.save(base / "adapter.safetensors", parts)
    arguments = (SHORT_SDXL / "__init__.py", seeded_sdxl.CHECKPOINT, seeded_sdxl.UNION, adapter)
    return comfyui_support.run_inside(comfyui_dir, "sdxl", *arguments, base=base, models=models)


def test_it_is_an_sdxl_for_core(report):
    assert report["model"] == {"class": "SDXL", "latents": "SDXL", "channels": 9, "inpaints": True}
    assert report["missing"] == []
    assert report["text"] == {"tokens": [1, 77, 2048], "pooled": [1, 1280]}


def test_controls_keep_what_sdxl_adds_to_the_text(report):
    """The pooled text travels with both conditionings, and so do the latent and mask that are added afterwards."""
    assert report["controlled"] == {"pooled": [1, 1280], "kinds": [[1], [0]], "concatenated": True}


def test_core_takes_the_files_that_people_have(report):
    """The full SDXL by its names and shapes alone, without the test's extension: single file and diffusers' UNet."""
    assert report["single file"] == {"class": "SDXL", "inpaints": True}
    assert report["diffusers"] == {"class": "SDXL", "inpaints": True}
    assert report["union"] == {"channels": 320, "vector": 2816}


def test_an_ip_adapter_steers_it(report, figures):
    figures(f"IP-Adapter on the short SDXL: {report['adapter']['patched']}/4 cross-attentions patched")
    assert report["adapter"]["patched"] == 4
    assert report["adapter"]["effect"] > 0.01
