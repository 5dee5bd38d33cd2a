"""ControlNets with seeded random weights in the original single-file layout, for the UNets of ``layouts.UNETS``."""

from pathlib import Path

from imageine.runner.demo import filling, layouts

POSE = "control_v11p_sd15_openpose.safetensors"
DEPTH = "control_v11f1p_sd15_depth.safetensors"
SEEDS = {POSE: "pose", DEPTH: "depth"}

HINT_WIDTHS = (16, 16, 32, 32, 96, 96, 256)  # of the hint's convolutions; the last one makes CHANNELS of them
HINT_GAIN = 1.4  # keeps a picture's variance through seven SiLUs

# The convolutions that close a real ControlNet start at zero. Here they are as strong as trained ones.
GAINS = {**filling.UNET_GAINS, "input_hint_block": HINT_GAIN, "zero_convs": 0.3, "middle_block_out": 0.3}


def shapes(variant: str) -> layouts.Shapes:
    """Names and shapes: the half of the UNet that goes down, the hint's stack, and a 1 × 1 layer per output."""
    down = ("time_embed.", "input_blocks.", "middle_block.")
    unet = layouts.unet(variant, in_channels=4)
    found = {name: shape for name, shape in unet.items() if name.startswith(down)}
    width = 3
    for place, out in enumerate((*HINT_WIDTHS, layouts.CHANNELS)):
        found[f"input_hint_block.{2 * place}.weight"] = (out, width, 3, 3)
        found[f"input_hint_block.{2 * place}.bias"] = (out,)
        width = out
    blocks = 1 + max(int(name.split(".")[1]) for name in found if name.startswith("input_blocks."))
    for block in range(blocks):
        width = _width(found, block)
        found[f"zero_convs.{block}.0.weight"] = (width, width, 1, 1)
        found[f"zero_convs.{block}.0.bias"] = (width,)
    found["middle_block_out.0.weight"] = (width, width, 1, 1)
    found["middle_block_out.0.bias"] = (width,)
    return found


def _width(found: layouts.Shapes, block: int) -> int:
    """Channels that input block ``block`` puts out: those of its convolution, residual block or sampler."""
    endings = ("0.bias", "0.out_layers.3.bias", "0.op.bias")
    return next(found[name][0] for name in (f"input_blocks.{block}.{end}" for end in endings) if name in found)


def tensors(variant: str = "lite", seed: str = "pose") -> "filling.Tensors":
    """A ControlNet for UNet ``variant`` in float32."""
    return filling.fill(shapes(variant), f"controlnet-{seed}", GAINS)


def save(path: Path, variant: str = "lite", seed: str = "pose") -> Path:
    """Write ``tensors(variant, seed)`` to ``path`` in float16; returns ``path``."""
    import torch
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    content = {name: tensor.to(torch.float16).contiguous() for name, tensor in tensors(variant, seed).items()}
    save_file(content, path, metadata={"imageine": f"seeded random weights, {variant}"})
    filling.forget_noise()
    return path


def models_folder(root: Path, seeded: Path) -> Path:
    """``seeded`` (a models folder) with both ControlNets for its checkpoint beside it, in ``root``; returns it."""
    folder = root / "models"
    folder.mkdir()
    for one in seeded.iterdir():
        (folder / one.name).symlink_to(one, target_is_directory=True)
    for name, seed in SEEDS.items():
        save(folder / "controlnet" / name, "lite", seed)
    return folder
