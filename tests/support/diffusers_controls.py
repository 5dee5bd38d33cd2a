"""diffusers' StableDiffusionControlNetInpaintPipeline on ComfyUI's files: diffusers_oracle.py with ControlNets."""

import json
from pathlib import Path

import torch
from diffusers import ControlNetModel, StableDiffusionControlNetInpaintPipeline, StableDiffusionInpaintPipeline
from imageine.runner.demo.layouts import CHANNELS, CONTEXT, UNETS
from support import diffusers_oracle
from support.seeded_controlnet import HINT_WIDTHS


def load(path: Path, variant: str, folder: Path) -> ControlNetModel:
    """The ControlNet in ``path`` (original layout) in float32. ``folder`` gets its configuration file."""
    (folder / "config.json").write_text(json.dumps(_configuration(variant)), encoding="utf-8")
    return ControlNetModel.from_single_file(
        str(path), config=str(folder), local_files_only=True, torch_dtype=torch.float32
    ).eval()


def with_controls(
    pipeline: StableDiffusionInpaintPipeline, control_nets: list[ControlNetModel]
) -> StableDiffusionControlNetInpaintPipeline:
    """A pipeline of the same parts and ``control_nets``."""
    parts = {name: getattr(pipeline, name) for name in ("vae", "text_encoder", "tokenizer", "unet", "scheduler")}
    controlled = StableDiffusionControlNetInpaintPipeline(
        **parts,
        controlnet=control_nets if len(control_nets) > 1 else control_nets[0],
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    controlled.set_progress_bar_config(disable=True)
    return controlled


def sample(pipeline, given: dict, pictures: dict, job: dict, controls: list[tuple]) -> torch.Tensor:
    """Scaled latents; ``controls`` has (map [1,H,W,3], strength, start, end) for every ControlNet of ``pipeline``.

    Start and end are fractions of the steps, where ComfyUI's are of the noise schedule.
    """
    maps, strengths, starts, ends = (list(column) for column in zip(*controls, strict=True))
    maps = [one.movedim(-1, 1) for one in maps]
    if len(controls) == 1:
        maps, strengths, starts, ends = maps[0], strengths[0], starts[0], ends[0]
    return diffusers_oracle.sample(
        pipeline,
        given,
        pictures["pixels"],
        pictures["mask"],
        job,
        control_image=maps,
        controlnet_conditioning_scale=strengths,
        control_guidance_start=starts,
        control_guidance_end=ends,
    )


def _configuration(variant: str) -> dict:
    shape = UNETS[variant]
    return {
        "_class_name": "ControlNetModel",
        "in_channels": 4,
        "attention_head_dim": 8,
        "block_out_channels": [CHANNELS * multiplier for multiplier in shape.multipliers],
        "conditioning_embedding_out_channels": [HINT_WIDTHS[0], *HINT_WIDTHS[2::2]],
        "cross_attention_dim": CONTEXT,
        "down_block_types": ["CrossAttnDownBlock2D" if it else "DownBlock2D" for it in shape.attention],
        "layers_per_block": shape.blocks,
    }
