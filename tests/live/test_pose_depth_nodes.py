"""Load Depth Anything, Map Depth, Load ViTPose, Map Pose and Draw Pose inside every ComfyUI at hand."""

import pytest
from support import comfyui
from support.seeded_pose_depth import template

pytest.importorskip("transformers")


@pytest.fixture(scope="module", params=list(comfyui.comfyui_dirs()))
def report(request, tmp_path_factory):
    base, extra = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("extra")
    folder = comfyui.comfyui_dirs()[request.param]
    return comfyui.run_inside(folder, "pose_depth", template("vitpose"), template("depth"), extra, base=base)


def test_default_and_extra_folders_are_both_listed(report):
    listed = report["listed"]
    assert listed["depth"] == listed["pose"] == ["elsewhere", "tiny"]
    assert all("Found there" in one and "imageine models pull complex" in one for one in listed["missing"])
    assert len(listed["missing"]) == 2


def test_the_schemas(report):
    schema = report["schema"]
    assert {name: one["display_name"] for name, one in schema.items()} == {
        "ImageineLoadDepthAnything": "Load Depth Anything",
        "ImageineMapDepth": "Map Depth",
        "ImageineLoadViTPose": "Load ViTPose",
        "ImageineMapPose": "Map Pose",
        "ImageineDrawPose": "Draw Pose",
    }
    assert schema["ImageineMapDepth"]["shown"] == ["depth_model", "image"]
    assert schema["ImageineMapDepth"]["outputs"] == ["IMAGE"]
    pose = schema["ImageineMapPose"]
    assert set(pose["shown"]) == {"pose_model", "image", "bboxes", "score_threshold"} and pose["optional"] == ["bboxes"]
    assert pose["outputs"] == ["IMAGE", "POSE_KEYPOINT", "INT"]
    assert schema["ImageineDrawPose"]["shown"] == ["keypoints", "score_threshold"]


def test_a_depth_map_per_image(report):
    found = report["depth"]
    assert found["shape"] == [3, 240, 320, 3] and found["type"] == "torch.float32" and found["pictures"] == 3
    assert found["range"] == [[0.0, 1.0]] * 3 and found["inverted"] < 1e-6


def test_depth_of_any_size_and_channel_count(report):
    found = report["depth"]
    assert found["odd"] == [[1, 1, 1, 3], [1, 8, 6000, 3], [1, 6000, 9, 3], [1, 30, 40, 3]]
    assert found["finite"] and found["flat"] == 0


def test_a_pose_map_and_keypoints_per_image(report):
    for name, run in report["pose"].items():
        assert run["shape"] == [3, 240, 320, 3] and run["type"] == "torch.float32", name
        assert run["canvas"] == [[320, 240]] and run["count"] == sum(run["people"]), name
        assert run["drawn"] == [count > 0 for count in run["people"]], name
    people = {name: run["people"] for name, run in report["pose"].items()}
    assert people["some"] == [2, 0, 1] and people["whole"] == [1, 1, 1] and people["nobody"] == [0, 0, 0]
    assert people["one"] == [1, 0, 1] and people["women"] == [1, 0, 0]


def test_the_node_says_who_was_found(report):
    texts = {name: run["text"] for name, run in report["pose"].items()}
    assert texts["some"] == ["3 people found, nobody in 1 of 3 images"]
    assert texts["whole"] == ["3 people found"] and texts["nobody"] == ["Nobody found"]
    assert texts["women"] == ["1 person found, nobody in 2 of 3 images"]


def test_core_draws_our_keypoints(report):
    shape, overlaps = report["core"]["ours drawn by core"]
    assert shape == [3, 240, 320, 3]
    # Core's lines stay 4 pixels wide to either side, ours follow the picture's size: half of that here.
    assert all(overlap > 0.25 for overlap in overlaps)
    assert report["core"]["nobody drawn by core"] == [[3, 240, 320, 3], False]


def test_we_draw_cores_keypoints(report, figures):
    shape, overlap, nobody = report["core"]["core drawn by us"]
    figures(f"Draw Pose and core's SDPose Draw Keypoints on the same keypoints: {overlap:.0%} of the pixels in common")
    assert shape == [2, 640, 512, 3] and overlap > 0.7 and not nobody  # core turns limbs by whole degrees
    assert report["core"]["hands and face drawn by us"] > 0.5  # core without OpenCV draws fingers twice as wide
    assert report["core"]["face boxes"][0] == 2


def test_depth_anything_3_gives_what_map_depth_gives(report):
    assert report["core"]["depth 3"][:2] == [report["depth"]["type"], [2, 240, 320, 3]]
    assert report["core"]["depth 3"][2:] == [0.0, 1.0] and report["core"]["depth 3 near is white"]


def test_a_whole_graph(report):
    graph = report["graph"]
    assert graph.get("failures") == [] and graph["same"]
    assert set(map(tuple, graph["shapes"].values())) == {(3, 240, 320, 3)} and len(graph["shapes"]) == 4


def test_an_interrupt_stops_them(report):
    assert report["interrupt"] == ["stopped", "stopped"]


@pytest.mark.parametrize("which", ["depth memory", "pose memory"])
def test_comfyui_owns_the_weights(report, which):
    memory = report[which]
    assert memory["loaded"] and memory["after unload"] == 0 and memory["elsewhere"] == 0 and memory["same again"]
    assert report["alive"] == 0
