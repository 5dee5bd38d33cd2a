"""Simple Edit's sampling with the IP-Adapter nodes before it; see simple_edit_latents.py."""

import json
import runpy
from pathlib import Path

import comfy.clip_model
import comfy.clip_vision
import torch
from imageine.nodes import folders
from imageine.nodes.ip_adapter import ApplyIPAdapter, LoadIPAdapter
from safetensors.torch import load_file, save_file

import nodes

sample = runpy.run_path(str(Path(__file__).with_name("simple_edit_latents.py")))["sample"]


def main(checkpoint: str, vision: str, configuration: str, pictures: str, jobs: str) -> None:
    """``vision`` is a file of CLIP vision weights, ``configuration`` its JSON.

    ``pictures`` also has the references [N,H,W,3], the region [1,H,W] that they act in and pose_map [1,H,W,3]. A job's
    "adapters" list the inputs of Apply IP-Adapter, one node each: "model" is the adapter's file, "images" how many
    references it gets, "masked" whether it gets the region. "pose" is the ControlNet's file and strength, or null.
    """
    torch.set_num_threads(1)
    folders.register()
    images = load_file(pictures)
    model, clip, vae = nodes.CheckpointLoaderSimple().load_checkpoint(checkpoint)
    encoder = comfy.clip_vision.ClipVisionModel(json.loads(configuration))
    missing, _ = encoder.load_sd(load_file(vision))
    assert not missing
    with torch.inference_mode():
        for job in json.loads(jobs):
            steered = model
            for settings in job["adapters"]:
                steered = apply(steered, encoder, images, dict(settings))
            result = sample(steered, clip, vae, images, job, controls(images, job["pose"]))
            pixels = comfy.clip_model.clip_preprocess(images["references"], 224)
            save_file(result | {"reference_pixels": pixels.contiguous()}, job["output"])


def apply(model, encoder, images: dict, settings: dict):
    adapter = LoadIPAdapter.execute(settings.pop("model"))[0]
    image = images["references"][: settings.pop("images")]
    mask = images["region"] if settings.pop("masked") else None
    return ApplyIPAdapter.execute(
        model=model, ip_adapter=adapter, clip_vision=encoder, image=image, mask=mask, **settings
    )[0]


def controls(images: dict, pose: list | None):
    if pose is None:
        return lambda *texts: texts
    control_net = nodes.ControlNetLoader().load_controlnet(pose[0])[0]

    def change(*texts):
        return nodes.ControlNetApplyAdvanced().apply_controlnet(
            *texts, control_net, images["pose_map"], pose[1], 0.0, 1.0
        )

    return change
