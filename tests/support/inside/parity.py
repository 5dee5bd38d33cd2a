"""All that is compared with diffusers, in one ComfyUI: sampling, and one forward pass of each full-depth UNet."""

import json
import runpy
from pathlib import Path


def main(sampling: str, unets: str) -> dict:
    """The arguments of sampling_latents.py as a JSON list, and those of ip_adapter_unet.py by base; its reports."""
    script("sampling_latents")(*json.loads(sampling))
    forward = script("ip_adapter_unet")
    return {base: forward(base, *arguments) for base, arguments in json.loads(unets).items()}


def script(name: str):
    return runpy.run_path(str(Path(__file__).with_name(f"{name}.py")))["main"]
