"""What core's Depth Anything 3 and SDPose hand over, inside ComfyUI."""

import json

import comfy.utils
import folder_paths
import numpy as np
import torch
from comfy_extras.nodes_depth_anything_3 import DA3Render, LoadDA3Model
from comfy_extras.nodes_sdpose import _to_openpose_frames
from imageine.nodes import pose

HEIGHT, WIDTH = 96, 144


def main(render: str, depth_model: str) -> dict:
    """``render`` are the template's settings of Render Depth Anything 3, as JSON."""
    torch.set_num_threads(1)
    return {**rendered(json.loads(render)), **loaded(depth_model), "drawn": drawn()}


def rendered(settings: dict) -> dict:
    """A slope from 1 to 5 metres, left to right, below a strip of sky."""
    depth = torch.linspace(1, 5, WIDTH).expand(1, HEIGHT, WIDTH).clone()
    sky = torch.zeros_like(depth)
    sky[:, :10] = 1.0
    image = DA3Render.execute({"depth": depth, "sky": sky, "mode": "mono"}, settings)[0]
    row = image[0, HEIGHT // 2, :, 0]
    return {
        "near to far": [round(float(value), 3) for value in row[:: WIDTH // 12]] + [round(float(row[-1]), 3)],
        "sky": float(image[:, :10].max()),
        "size": list(image.shape),
    }


def loaded(name: str) -> dict:
    path = folder_paths.get_full_path_or_raise("geometry_estimation", name)
    model = LoadDA3Model.execute(name, "default")[0].model
    names = set(model.diffusion_model.state_dict()) ^ set(comfy.utils.load_torch_file(path))
    return {"model": type(model).__name__, "differing names": sorted(names)}


def drawn() -> dict:
    """133 joints on a circle as core's extractor frames them, and nobody, through Draw Pose."""
    angles = np.linspace(0, 2 * np.pi, 133, endpoint=False)
    points = np.stack([24 + 15 * np.cos(angles), 32 + 20 * np.sin(angles)], axis=1)
    frames = _to_openpose_frames([[points], []], [[np.ones(133)], []], 64, 48)
    maps = pose.DrawPose.execute(frames)[0]
    return {"size": list(maps.shape), "person": bool(maps[0].any()), "nobody": bool(maps[1].any())}
