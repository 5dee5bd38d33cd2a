"""Apply Controls inside every ComfyUI at hand, with seeded ControlNets."""

import pytest
from support import comfyui, seeded_controlnet

pytest.importorskip("safetensors")

EXACT = 1e-5  # float noise of another order of the same sums


@pytest.fixture(scope="module", params=list(comfyui.comfyui_dirs()))
def report(request, tmp_path_factory):
    base = tmp_path_factory.mktemp("base")
    models = base / "seeded"
    for name, seed in seeded_controlnet.SEEDS.items():
        seeded_controlnet.save(models / "controlnet" / name, "lite", seed)
    folder = comfyui.comfyui_dirs()[request.param]
    return comfyui.run_inside(folder, "controls", *seeded_controlnet.SEEDS, base=base, models=models)


def test_comfyui_takes_the_seeded_file_for_a_controlnet(report):
    loading = report["loading"]
    assert loading["warnings"] == [] and loading["type"] == "ControlNet"
    assert loading["same names"] and loading["same shapes"]


def test_the_schema(report):
    schema = report["schema"]
    assert (schema["display_name"], schema["category"]) == ("Apply Controls", "imageine/conditioning")
    assert schema["described"] and not schema["silent"]
    assert schema["outputs"] == ["CONDITIONING", "CONDITIONING"]
    assert schema["lazy"] == ["pose_control_net", "pose_map", "depth_control_net", "depth_map", "region"]
    assert schema["advanced"] == ["pose_start", "pose_end", "depth_start", "depth_end", "region"]
    assert schema["inputs"][:6] == [
        "positive",
        "negative",
        "use_pose",
        "pose_strength",
        "use_depth",
        "depth_strength",
    ]


def test_both_controls_are_chained_as_core_does(report):
    core = report["core"]
    assert core["difference"] == 0 and core["size"] > 0.1
    assert core["shared"] and core["same keys"] and core["given is untouched"]
    assert core["chain"] == ["ControlNet", "ControlNet", True]
    assert core["off is the input"] and core["chained outside"]


def test_a_region_leaves_the_rest_alone(report, figures):
    region = report["region"]
    figures(
        f"Apply Controls with a region: control tensors outside {region['outside']:.1e} (without the region "
        f"{region['strength of it']:.2f}), inside {region['inside']:.1e} from those without a region"
    )
    assert region["outside"] == 0 and region["strength of it"] > 0.1
    assert region["inside"] < EXACT
    assert region["beneath"] == 0 and region["added"] > 0.1


def test_a_region_may_be_soft_and_one_per_frame(report):
    soft = report["soft region"]
    assert soft["half"] < EXACT and soft["edge"] < EXACT
    assert soft["second frame"] == 0 and soft["first frame"] > 0.01


def test_every_frame_gets_its_own_map(report):
    batches = report["batches"]
    assert batches["each its own"] < EXACT < batches["they differ"]
    assert batches["chunks"] == 6


def test_maps_of_other_sizes(report):
    sizes = report["sizes"]
    assert sizes["twice the size"] == sizes["three times as wide"] == sizes["opaque rgba"] == 0
    assert sizes["grey"]


def test_start_and_end(report):
    assert report["range"]["plain"] == report["range"]["region"] == {"0.1": False, "0.3": True, "0.6": False}


def test_what_is_refused(report):
    said = report["refused"]["said"]
    assert said["start after end"].startswith("Pose Start is 0.6 and Pose End 0.4")
    assert "start has to lie before the end" in said["start is end"]
    assert said["no map"].startswith("Use Pose is on, but pose_map got nothing")
    assert said["no net"].startswith("Use Pose is on, but pose_control_net got nothing")
    assert "pose_control_net and pose_map got nothing" in said["neither"]
    assert "switch Use Pose off" in said["neither"]
    assert said["too strong"].startswith("Pose Strength is 11")
    assert "pose_map 3, depth_map 2" in said["counts"] and "pose_map 3, region 2" in said["region count"]
    assert "A mask has the shape" in said["region shape"]
    assert said["needs a VAE"] == "The ControlNet at pose_control_net works on latents: connect vae."
    assert report["refused"]["an off control is not checked"]
    assert "disconnect region" in report["refused"]["tokens"] and "[1, 64, 32]" in report["refused"]["tokens"]


def test_core_manages_a_control_with_a_region_like_one_without(report):
    memory = report["memory"]
    assert memory["same models"] and memory["models"] == 1 and memory["needs"] and memory["hooks"]
    assert memory["cleaned"] and memory["a copy is the same"] == 0 and memory["a clone is another"]
