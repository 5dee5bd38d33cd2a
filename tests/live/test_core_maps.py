"""The templates with core's own SDPose and Depth Anything 3 in place of ours, on every ComfyUI that has them."""

import json

import numpy as np
import pytest
from imageine.runner import Workflow
from imageine.runner.demo import blend_mask
from PIL import Image
from support import comfyui as comfyui_support
from support.traced_edits import pixels, run

POSE, DEPTH = "Complex Edit with SDPose", "Complex Edit with Depth Anything 3"
NODES = {
    POSE: ["SDPoseKeypointExtractor"],
    DEPTH: ["LoadDA3Model", "DA3Inference", "DA3Render"],
}
# A small depth map and one person: SDPose works at 768 x 1024 for each.
SETTINGS = {POSE: {"detect_people.max_boxes": 1}, DEPTH: {"resolution": 140}}
SWITCH = {POSE: "use_pose", DEPTH: "use_depth"}


@pytest.fixture(scope="module")
def models(seeded_models, tmp_path_factory):
    pytest.importorskip("transformers")
    from support import complex_models, seeded_core_maps

    folder = complex_models.models_folder(tmp_path_factory.mktemp("core"), seeded_models)
    (folder / "checkpoints").unlink()  # a link into the shared folder
    (folder / "checkpoints").mkdir()
    for file in (seeded_models / "checkpoints").iterdir():
        (folder / "checkpoints" / file.name).symlink_to(file)
    return seeded_core_maps.models_folder(folder)


@pytest.fixture(scope="module", params=list(comfyui_support.comfyui_dirs()))
def version(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def server(version, models):
    with comfyui_support.server(comfyui_support.comfyui_dirs()[version], models) as server:
        yield server


@pytest.fixture(scope="module")
def client(server):
    with server.client() as client:
        yield client


@pytest.fixture(params=list(NODES))
def workflow(request, version, client) -> str:
    absent = set(NODES[request.param]) - set(client.object_info())
    if absent:
        pytest.skip(f"ComfyUI {version} has no {', '.join(sorted(absent))}")
    return request.param


def test_core_node_steers_the_edit_and_costs_nothing_when_off(workflow, version, client, server, photos, figures):
    photo = Image.open(photos["astronaut"])
    settings = SETTINGS[workflow]
    on, ran = run(client, photos["astronaut"], workflow, settings=settings)
    inside = np.asarray(blend_mask(client, on))
    difference = np.abs(pixels(on.image) - pixels(photo)).max(-1)
    figures(
        f"{workflow}, ComfyUI {version}, astronaut, seeded models, 128 px, 2 steps: {on.seconds:.1f} s; 8-bit "
        f"difference outside the blend mask at most {difference[~inside].max()}, inside {difference[inside].mean():.0f}"
    )
    assert set(NODES[workflow]) <= set(ran) and "ImageineApplyControls" in ran
    assert on.image.size == photo.size and 0 < inside.mean() < 1
    assert difference[~inside].max() == 0 and difference[inside].mean() > 5
    assert "missing" not in server.log().lower() and "unexpected" not in server.log().lower()

    settings = settings | {SWITCH[workflow]: False}
    off, ran = run(client, photos["astronaut"], workflow, settings=settings)
    assert not set(NODES[workflow]) & set(ran)
    assert ran.count("ControlNetLoader") == 1
    assert not np.array_equal(pixels(on.image), pixels(off.image))


@pytest.fixture(scope="module")
def report(version, models, tmp_path_factory):
    """What tests/support/inside/core_maps.py found."""
    folder = comfyui_support.comfyui_dirs()[version]
    if not (folder / "comfy_extras" / "nodes_depth_anything_3.py").is_file():
        pytest.skip(f"ComfyUI {version} has no Depth Anything 3")
    base = tmp_path_factory.mktemp("inside")
    render = next(node for node in Workflow.load(DEPTH).graph().values() if node["class_type"] == "DA3Render")
    settings = {name.removeprefix("output."): value for name, value in render["inputs"].items() if "output" in name}
    from support import seeded_core_maps

    return comfyui_support.run_inside(
        folder, "core_maps", json.dumps(settings), seeded_core_maps.DEPTH_ANYTHING_3, base=base, models=models
    )


def test_core_depth_is_what_the_depth_controlnet_expects(report):
    """White is near, black far, the sky farthest, as in Map Depth; nothing is to be inverted in the template."""
    assert report["near to far"][0] == 1 and report["near to far"][-1] == 0
    assert report["near to far"] == sorted(report["near to far"], reverse=True)
    assert report["sky"] == 0
    assert report["size"] == [1, 96, 144, 3]


def test_core_loads_every_weight_of_the_depth_model(report):
    assert report["model"] == "DepthAnything3" and report["differing names"] == []


def test_core_keypoints_are_drawn(report):
    """A person in core's frame, hands and face included, and a frame without people."""
    assert report["drawn"] == {"size": [2, 64, 48, 3], "person": True, "nobody": False}
