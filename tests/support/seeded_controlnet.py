"""ControlNets with seeded random weights in the original single-file layout, for the UNets of ``layouts.UNETS``."""

from pathlib import Path

from imageine.runner.demo import filling, layouts

POSE = "control_v11p_sd15_openpose.safetensors"
DEPTH = "control_v11f1p_sd15_depth.safetensors"
SEEDS = {POSE: "pose", DEPTH: "depth"}

HINT_GAIN = 1.4  # keeps a picture's variance through seven SiLUs

# The convolutions that close a real ControlNet start at zero. Here they are as strong as trained ones.
GAINS = {**filling.UNET_GAINS, "input_hint_block": HINT_GAIN, "zero_convs": 0.3, "middle_block_out": 0.3}


def tensors(variant: str = "lite", seed: str = "pose") -> "filling.Tensors":
    """A ControlNet for UNet ``variant`` in float32."""
    return filling.fill(layouts.control_net(variant), f"controlnet-{seed}", GAINS)


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
