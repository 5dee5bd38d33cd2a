"""A LoRA with seeded random weights for the "lite" checkpoint, under the names that kohya-ss/sd-scripts gives."""

from pathlib import Path

from imageine.runner.demo import filling
from imageine.runner.demo.layouts import CHANNELS, CLIP_LAYERS, CONTEXT

RANK, ALPHA = 4, 2.0
GAIN = 1.4  # the change is then about as large as the weights themselves

_BLOCKS = (
    "down_blocks_1_attentions_0",
    "up_blocks_0_attentions_0",
    "up_blocks_0_attentions_1",
    "mid_block_attentions_0",
)


def shapes() -> dict[str, tuple[int, int]]:
    """(out, in) of every layer that it changes, by its name in the file."""
    found = {}
    for block in _BLOCKS:
        for attention, source in (("attn1", CHANNELS), ("attn2", CONTEXT)):
            layer = f"lora_unet_{block}_transformer_blocks_0_{attention}"
            found |= {f"{layer}_to_q": (CHANNELS, CHANNELS), f"{layer}_to_out_0": (CHANNELS, CHANNELS)}
            found |= {f"{layer}_to_{part}": (CHANNELS, source) for part in "kv"}
    for index in range(CLIP_LAYERS):
        layer = f"lora_te_text_model_encoder_layers_{index}_self_attn"
        found |= {f"{layer}_{part}_proj": (CONTEXT, CONTEXT) for part in "qv"}
    return found


def tensors() -> "filling.Tensors":
    import torch

    found = {}
    for name, (out, width) in shapes().items():
        found[f"{name}.lora_down.weight"] = filling.noise((RANK, width), f"{name}.down") / width**0.5
        found[f"{name}.lora_up.weight"] = filling.noise((out, RANK), f"{name}.up") * (GAIN / RANK**0.5)
        found[f"{name}.alpha"] = torch.tensor(ALPHA)
    return found


def save(path: Path) -> Path:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors(), path)
    return path


def changes() -> "filling.Tensors":
    """What it adds to each weight at strength 1, by the layer's name in the file."""
    given = tensors()
    return {
        name: given[f"{name}.lora_up.weight"] @ given[f"{name}.lora_down.weight"] * (ALPHA / RANK) for name in shapes()
    }
