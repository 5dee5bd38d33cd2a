"""Compare ``runner.demo.layouts`` with the modules that ComfyUI builds, without allocating their weights."""

import json
from pathlib import Path

import comfy.clip_model
import comfy.ops
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy.taesd.taesd import TAESD

KL = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 128,
    "ch_mult": [1, 2, 4, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def main() -> dict[str, list[str]]:
    """For every layout, the names that are missing, too many or of another shape."""
    from imageine.runner.demo import layouts

    with torch.device("meta"):
        modules = {"taesd": TAESD(), "kl": AutoencoderKL(ddconfig=KL, embed_dim=4)}
    modules["clip_text"] = clip_text()
    ours = {"taesd": layouts.taesd(), "kl": layouts.kl(), "clip_text": layouts.clip_text()}
    # The file has it, ComfyUI makes its own; the projection is SDXL's and not in SD 1.5's file.
    del ours["clip_text"]["text_model.embeddings.position_ids"]
    for name, variant in layouts.UNETS.items():
        modules[f"unet {name}"] = unet(variant)
        ours[f"unet {name}"] = layouts.unet(name)
    return {name: differences(ours[name], module) for name, module in modules.items()}


def differences(ours: dict, module: torch.nn.Module) -> list[str]:
    theirs = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    theirs.pop("text_projection.weight", None)
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def unet(variant) -> torch.nn.Module:
    depths = [int(attention) for attention in variant.attention]
    return UNetModel(
        image_size=32,
        in_channels=9,
        out_channels=4,
        model_channels=320,
        num_res_blocks=[variant.blocks] * len(depths),
        channel_mult=list(variant.multipliers),
        transformer_depth=[depth for depth in depths for _ in range(variant.blocks)],
        transformer_depth_output=[depth for depth in depths for _ in range(variant.blocks + 1)],
        transformer_depth_middle=1,
        context_dim=768,
        num_heads=8,
        use_spatial_transformer=True,
        use_linear_in_transformer=False,
        legacy=False,
        device="meta",
        dtype=torch.float32,
    )


def clip_text() -> torch.nn.Module:
    folder = Path(comfy.clip_model.__file__).parent
    config = json.loads((folder / "sd1_clip_config.json").read_text(encoding="utf-8"))
    return comfy.clip_model.CLIPTextModel(config, torch.float32, "meta", comfy.ops.disable_weight_init)
