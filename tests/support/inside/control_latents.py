"""Simple Edit's sampling with Apply Controls before it; see simple_edit_latents.py."""

import json
import runpy
from pathlib import Path

import torch
from imageine.nodes.controls import ApplyControls
from safetensors.torch import load_file, save_file

import nodes

sample = runpy.run_path(str(Path(__file__).with_name("simple_edit_latents.py")))["sample"]


def main(checkpoint: str, control_nets: str, pictures: str, jobs: str) -> None:
    """``control_nets`` is JSON, file names by socket; ``pictures`` also has pose_map and depth_map [1,H,W,3].

    A job's "controls" are Apply Controls' settings; the sockets are all connected.
    """
    torch.set_num_threads(1)
    images = load_file(pictures)
    models = nodes.CheckpointLoaderSimple().load_checkpoint(checkpoint)
    loader = nodes.ControlNetLoader()
    sockets = {socket: loader.load_controlnet(name)[0] for socket, name in json.loads(control_nets).items()}
    sockets |= {name: images[name] for name in ("pose_map", "depth_map")}
    with torch.inference_mode():
        for job in json.loads(jobs):

            def change(*texts, settings=job["controls"]):
                return ApplyControls.execute(*texts, **sockets, **settings).args

            save_file(sample(*models, images, job, change), job["output"])
