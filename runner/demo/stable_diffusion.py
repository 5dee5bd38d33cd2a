"""A seeded random SD 1.5 inpainting checkpoint in the single-file format."""

from pathlib import Path
from typing import TYPE_CHECKING

from . import filling, layouts

if TYPE_CHECKING:
    from .filling import Tensors

# How much of the random network is mixed into the pass-through; see ``filling.calm_unet``.
CALM = 0.05


def tensors(variant: str = "lite", vae: str = "block", seed: int = 1, calm: float = CALM) -> "Tensors":
    """The checkpoint as float32 tensors under the names of the real file.

    ``variant``: "lite", "one" or "full" (``layouts.UNETS``). ``vae``: "block" (block means, pictures can be looked
    at), "taesd" (random) or "kl" (random, SD 1.5's own architecture). ``calm`` 0 leaves the UNet as random as it is.
    """
    if variant not in layouts.UNETS or vae not in ("block", "taesd", "kl"):
        raise ValueError(
            f"No such checkpoint: variant '{variant}' (have lite, one, full), vae '{vae}' (block, taesd, kl)"
        )
    unet = filling.fill(layouts.unet(variant), f"unet{seed}", filling.UNET_GAINS)
    if calm:
        filling.calm_unet(unet, calm)
    if vae == "kl":
        autoencoder = filling.fill(layouts.kl(), f"vae{seed}", filling.KL_GAINS)
    elif vae == "taesd":
        autoencoder = filling.fill(layouts.taesd(), f"vae{seed}", filling.TAESD_GAINS)
    else:
        autoencoder = filling.block_mean(layouts.taesd())
    text = filling.fill(layouts.clip_text(), f"clip{seed}", filling.CLIP_GAINS)
    return {
        **{f"model.diffusion_model.{name}": tensor for name, tensor in unet.items()},
        **{f"first_stage_model.{name}": tensor for name, tensor in autoencoder.items()},
        **{f"cond_stage_model.transformer.{name}": tensor for name, tensor in text.items()},
    }


def save(path: Path, variant: str = "lite", vae: str = "block", dtype: str = "float16", **options) -> Path:
    """Write ``tensors(variant, vae, **options)`` to ``path`` as safetensors in ``dtype``; returns ``path``."""
    import torch
    from safetensors.torch import save_file

    kind = getattr(torch, dtype)
    content = {
        name: (tensor.to(kind) if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in tensors(variant, vae, **options).items()
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(content, path, metadata={"imageine": f"seeded random weights, {variant}, {vae}"})
    filling.forget_noise()
    return path
