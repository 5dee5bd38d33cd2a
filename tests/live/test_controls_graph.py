"""Apply Controls in a whole graph on a real server: which nodes run, what comes out, what is refused."""

import copy
import io

import numpy as np
import pytest
from imageine.runner.errors import ImageineError
from PIL import Image
from support import comfyui as comfyui_support
from support import seeded_controlnet

SIZE = 128
SOCKETS = {
    "pose_control_net": ["pose net", 0],
    "pose_map": ["pose map", 0],
    "depth_control_net": ["depth net", 0],
    "depth_map": ["depth map", 0],
    "region": ["region", 0],
}
SETTINGS = {"use_pose": True, "pose_strength": 1.0, "use_depth": True, "depth_strength": 0.5}
SETTINGS |= {"pose_start": 0.0, "pose_end": 1.0, "depth_start": 0.0, "depth_end": 1.0}
POSE, DEPTH = {"pose net", "pose map"}, {"depth net", "depth map"}


@pytest.fixture(scope="module", params=list(comfyui_support.comfyui_dirs()))
def client(request, seeded_models, tmp_path_factory):
    """A server with ControlNets beside the checkpoint."""
    models = seeded_controlnet.models_folder(tmp_path_factory.mktemp("controls"), seeded_models)
    with (
        comfyui_support.server(
            comfyui_support.comfyui_dirs()[request.param], models, extra_args=("--cache-classic",)
        ) as server,
        server.client() as client,
    ):
        yield client


def graph(settings=None, sockets=tuple(SOCKETS), frames: int = 1, more=None) -> dict:
    """A grey picture sampled under two controls, whose maps are plain colours."""

    def picture(colour: int, count: int = 1) -> dict:
        return {"width": SIZE, "height": SIZE, "batch_size": count, "color": colour}

    controls = {"positive": ["positive", 0], "negative": ["negative", 0]} | SETTINGS | (settings or {})
    controls |= {name: SOCKETS[name] for name in sockets}
    sampler = {"model": ["checkpoint", 0], "positive": ["inpaint", 0], "negative": ["inpaint", 1]}
    sampler |= {"latent_image": ["inpaint", 2], "seed": 5, "steps": 2, "cfg": 7.5, "denoise": 1.0}
    sampler |= {"sampler_name": "euler", "scheduler": "normal"}
    inpaint = {"positive": ["controls", 0], "negative": ["controls", 1], "vae": ["checkpoint", 2]}
    inpaint |= {"pixels": ["photo", 0], "mask": ["mask", 0], "noise_mask": True}
    nodes = {
        "checkpoint": ("CheckpointLoaderSimple", {"ckpt_name": "sd-v1-5-inpainting.safetensors"}),
        "positive": ("CLIPTextEncode", {"clip": ["checkpoint", 1], "text": "a navy suit"}),
        "negative": ("CLIPTextEncode", {"clip": ["checkpoint", 1], "text": "blurry"}),
        "pose net": ("ControlNetLoader", {"control_net_name": seeded_controlnet.POSE}),
        "depth net": ("ControlNetLoader", {"control_net_name": seeded_controlnet.DEPTH}),
        "pose map": ("EmptyImage", picture(0xFF8000, frames)),
        "depth map": ("EmptyImage", picture(0x3060F0, frames)),
        "photo": ("EmptyImage", picture(0x808080, frames)),
        "mask": ("SolidMask", {"value": 1.0, "width": SIZE, "height": SIZE}),
        # Not the mask's size: of two nodes alike the server runs one.
        "region": ("SolidMask", {"value": 1.0, "width": 64, "height": 64}),
        "controls": ("ImageineApplyControls", controls),
        "inpaint": ("InpaintModelConditioning", inpaint),
        "sampler": ("KSampler", sampler),
        "decode": ("VAEDecode", {"samples": ["sampler", 0], "vae": ["checkpoint", 2]}),
        "save": ("SaveImage", {"images": ["decode", 0], "filename_prefix": "controls"}),
    } | (more or {})
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


def run(client, prompt: dict) -> tuple[set[str], list[np.ndarray]]:
    """The ids of the nodes that were executed, on a server that has kept nothing, and the saved pictures.

    The count is the server's own: run again to be saved under another name, it lists the nodes whose results it has.
    """
    comfyui_support.forget(client)
    result = client.submit(prompt).wait(timeout=300)
    assert result.cached_nodes == ()
    pictures = [Image.open(io.BytesIO(client.fetch(output))) for output in result.outputs]
    again = copy.deepcopy(prompt)
    again["save"]["inputs"]["filename_prefix"] += " again"
    kept = client.submit(again).wait(timeout=300).cached_nodes
    return {"save", *kept}, [np.asarray(picture, dtype=np.int16) for picture in pictures]


def test_only_what_the_controls_need_is_executed(client, figures):
    """Counted on the server; a control that is off leaves both its model and its map alone."""
    cases = {
        "both": ({}, POSE | DEPTH | {"region"}),
        "pose": ({"use_depth": False}, POSE | {"region"}),
        "depth, pose of strength 0": ({"pose_strength": 0.0}, DEPTH | {"region"}),
        "none": ({"use_pose": False, "use_depth": False}, set()),
    }
    counts, pictures = {}, {}
    for name, (settings, expected) in cases.items():
        ran, saved = run(client, graph(settings))
        assert ran & (POSE | DEPTH | {"region"}) == expected, name
        counts[name], pictures[name] = len(ran), saved[0]
    figures("Apply Controls, nodes executed of 15: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    assert counts["both"] == 15 and counts["none"] == 10
    plain = pictures.pop("none")
    assert all(np.abs(picture - plain).max() > 2 for picture in pictures.values())
    ran, without = run(client, graph(sockets=(), settings={"use_pose": False, "use_depth": False}))
    assert np.array_equal(without[0], plain) and len(ran) == 10


def test_a_link_can_switch_a_control_off(client):
    """As a router does: the switch is known only when the graph runs."""
    switch = {"switch": ("PrimitiveBoolean", {"value": False})}
    ran, _ = run(client, graph({"use_pose": ["switch", 0], "use_depth": False}, more=switch))
    assert "switch" in ran and not ran & (POSE | DEPTH | {"region"})
    switch = {"switch": ("PrimitiveBoolean", {"value": True})}
    ran, _ = run(client, graph({"use_pose": ["switch", 0], "use_depth": False}, more=switch))
    assert ran >= POSE and not ran & DEPTH
    with pytest.raises(ImageineError, match="pose_map got nothing"):
        sockets = ("pose_control_net", "depth_control_net", "depth_map")
        run(client, graph({"use_pose": ["switch", 0]}, sockets, more=switch))


def test_an_empty_region_costs_nothing_either(client):
    black = {"region": ("SolidMask", {"value": 0.0, "width": 64, "height": 64})}
    ran, _ = run(client, graph(more=black))
    assert "region" in ran and not ran & (POSE | DEPTH)


def test_without_a_region_the_controls_act_everywhere(client):
    _, whole = run(client, graph(sockets=tuple(SOCKETS)[:4]))
    _, same = run(client, graph())  # its region is all white
    assert np.array_equal(whole[0], same[0])


def test_frames_in_frames_out(client):
    """Three crops with a map each: the first is what it is alone, as its noise is drawn first."""
    _, three = run(client, graph(frames=3))
    _, one = run(client, graph())
    assert len(three) == 3 and all(picture.shape == (SIZE, SIZE, 3) for picture in three)
    assert np.abs(three[0] - one[0]).max() <= 1
    assert np.abs(three[1] - three[0]).max() > 2


@pytest.mark.parametrize(
    ("settings", "sockets", "said"),
    [
        ({}, ("pose_control_net", "pose_map", "depth_control_net"), "depth_map got nothing"),
        ({}, (), "pose_control_net and pose_map got nothing"),
        ({"pose_start": 0.8, "pose_end": 0.2}, tuple(SOCKETS), "Pose Start is 0.8 and Pose End 0.2"),
        ({"depth_end": 1.5}, tuple(SOCKETS), "Depth Start is 0 and Depth End 1.5"),
        ({"depth_strength": 50.0}, tuple(SOCKETS), "Depth Strength is 50"),
    ],
)
def test_refused_before_anything_runs(client, settings, sockets, said):
    with pytest.raises(ImageineError) as error:
        client.submit(graph(settings, sockets))
    assert said in str(error.value)
