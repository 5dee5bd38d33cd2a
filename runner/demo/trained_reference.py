"""The demo's reference pictures: an image encoder and an IP-Adapter that paint in the colour of a picture.

The encoder was trained 64 channels wide with two layers (demo/reference.py) to name the colour of what stands in the
middle, and is widened here to CLIP's ViT-L, whose other layers do nothing. The adapter is set by hand: it turns the
answer into the painter's own vector of that colour, and hears it by the painter's own weights.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import layouts, trained_painter
from .trained_painter import COLOURS
from .widening import filled, first_of_copies

if TYPE_CHECKING:
    import torch

    from .filling import Tensors

WEIGHTS = Path(__file__).with_name("weights") / "reference.safetensors"

# What was trained, in CLIPVisionConfig's words. It sees pictures of 32 pixels; the wide one averages 7x7 to one.
NARROW = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "projection_dim": len(COLOURS),
    "image_size": 32,
    "patch_size": 2,
    "hidden_act": "quick_gelu",
}
# CLIP's ViT-L with pictures of 224 pixels: the smallest encoder that ComfyUI's Load CLIP Vision knows.
WIDE = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "projection_dim": 768,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "quick_gelu",
}
TOKENS = 4  # of a standard IP-Adapter; the colour is in the first, the others are 0

# How much louder than a word a picture speaks at weight 1: loud enough to drown the old colour in "blue circle".
LOUDNESS = 3.0

_COPIES = WIDE["hidden_size"] // NARROW["hidden_size"]
_ATTENTION = re.compile(r"self_attn\.([qkv]|out)_proj\.")


def save_encoder(path: Path) -> Path:
    """Write the image encoder to ``path`` as safetensors: 0.3 GB, nearly all of it zeros.

    What was trained is float16; layers that do nothing are float8, which halves the file. Raises ``OSError`` when the
    trained weights are not beside this module.
    """
    import torch

    content = {name: tensor.half() for name, tensor in encoder(narrow()).items()}
    for name, shape in _wide_shapes().items():
        if name not in content:
            content[name] = torch.zeros(shape, dtype=torch.float8_e4m3fn)
    return trained_painter.write(path, content)


def save_adapter(path: Path) -> Path:
    """Write the IP-Adapter to ``path`` as safetensors in float16. Raises ``OSError`` without the painter's weights."""
    made = adapter(trained_painter.narrow())
    return trained_painter.write(path, {name: tensor.half() for name, tensor in made.items()})


def narrow(path: Path = WEIGHTS) -> "Tensors":
    """The encoder as it was trained, float32 (stored as float16)."""
    return trained_painter.narrow(path)


def encoder(trained: "Tensors") -> "Tensors":
    """``trained`` (``narrow()``) in the shapes of ``WIDE``, computing the same when all other layers are 0.

    Every channel stands there 16 times, so that normalisation finds the same mean and variance, and only the first
    of the copies is read. What is not normalised (heads, feed-forward layer, result) is filled up with zeros.
    """
    shapes = _wide_shapes()
    return {name: _widened(name, tensor, shapes[name]) for name, tensor in trained.items()}


def adapter(painter: "Tensors") -> "Tensors":
    """A standard IP-Adapter for the UNet ``painter`` (``trained_painter.narrow()``) and this module's encoder."""
    import torch

    words = trained_painter.text_encoder()["text_model.embeddings.token_embedding.weight"]
    colours = torch.stack([words[next(iter(trained_painter.WORDS[name].values()))] for name in COLOURS])
    width = colours.shape[1]
    proj = torch.zeros(TOKENS * width, WIDE["projection_dim"])
    proj[:width, : len(COLOURS)] = colours.T
    made = {
        "image_proj.proj.weight": proj,
        "image_proj.proj.bias": torch.zeros(TOKENS * width),
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
    }
    unet = trained_painter.unet(painter)
    for index, place in enumerate(_attentions()):
        for part, gain in (("k", 1.0), ("v", LOUDNESS)):
            made[f"ip_adapter.{2 * index + 1}.to_{part}_ip.weight"] = gain * unet[f"{place}.to_{part}.weight"]
    return made


def _wide_shapes() -> layouts.Shapes:
    import torch
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        tensors = CLIPVisionModelWithProjection(CLIPVisionConfig(**WIDE)).state_dict()
    return {name: tuple(tensor.shape) for name, tensor in tensors.items() if not name.endswith("position_ids")}


def _attentions() -> list[str]:
    """The UNet's cross-attentions in the order of IP-Adapter files: down, up, middle."""
    order = ("input_blocks", "output_blocks", "middle_block")
    found = [name.removesuffix(".to_k.weight") for name in layouts.unet("lite") if name.endswith("attn2.to_k.weight")]
    return sorted(found, key=lambda name: order.index(name.split(".")[0]))


def _widened(name: str, tensor: "torch.Tensor", shape: tuple[int, ...]) -> "torch.Tensor":
    attention = _ATTENTION.search(name)
    if name.endswith("patch_embedding.weight"):
        times = WIDE["image_size"] // NARROW["image_size"]
        tensor = tensor.repeat_interleave(times, 2).repeat_interleave(times, 3) / times**2
        return tensor.repeat_interleave(_COPIES, 0)
    if "position_embedding" in name:
        return tensor.repeat_interleave(_COPIES, 1)
    if tensor.ndim == 2:
        if attention and attention[1] == "out":
            tensor = _spread_heads(tensor, 1)
        elif ".fc2." in name:
            tensor = filled(tensor, 1, shape[1])
        else:
            tensor = first_of_copies(tensor, 1, _COPIES)
    if attention and attention[1] != "out":
        # The scores are divided by the root of a head's width, which is larger now.
        gain = (_head(WIDE) / _head(NARROW)) ** 0.5 if attention[1] == "q" else 1.0
        return _spread_heads(tensor, 0) * gain
    if ".fc1." in name or name.startswith("visual_projection."):
        return filled(tensor, 0, shape[0])
    return tensor.repeat_interleave(_COPIES, 0)


def _head(config: dict[str, Any]) -> int:
    return config["hidden_size"] // config["num_attention_heads"]


def _spread_heads(tensor: "torch.Tensor", axis: int) -> "torch.Tensor":
    heads = tensor.unflatten(axis, (NARROW["num_attention_heads"], -1))
    return filled(filled(heads, axis + 1, _head(WIDE)), axis, WIDE["num_attention_heads"]).flatten(axis, axis + 1)
