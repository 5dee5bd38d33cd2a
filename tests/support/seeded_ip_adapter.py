"""IP-Adapters and image encoders with seeded random weights, under the tensor names of the real files.

Every dimension that is read from a file is free, so these are small: an image encoder of two layers, and projectors
to match. ``GAIN`` makes the adapters' effect as large as a trained one's. Load CLIP Vision knows a few encoders by
their tensors and takes no other: for a server there is the smallest of them, ``VIT_L`` (610 MB).
"""

import math
import re
from pathlib import Path

from imageine.runner.demo import filling, layouts

POOLED, HIDDEN = 48, 64  # widths of the encoder's pooled embedding and of its layers
INNER, HEAD, TOKENS = 128, 64, 16  # of the resampler
GAIN = 4.0

VISION = {
    "model_type": "clip_vision_model",
    "hidden_size": HIDDEN,
    "intermediate_size": 2 * HIDDEN,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "projection_dim": POOLED,
    "image_size": 224,
    "patch_size": 14,
    "num_channels": 3,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "attention_dropout": 0.0,
}
VIT_L = VISION | {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "projection_dim": 768,
    "hidden_act": "quick_gelu",
}

_NORM = re.compile(r"norm\d?\.weight|norm_out\.weight|proj\.3\.weight|layers\.\d+\.1\.0\.weight|layrnorm\.weight")


def widths(variant: str) -> list[int]:
    """Channels of the cross-attentions of UNet ``variant`` in the order of IP-Adapter files: down, up, middle."""
    shapes = layouts.unet(variant)
    keys = [name for name in shapes if name.endswith("attn2.to_k.weight")]
    order = ("input", "output", "middle")
    keys.sort(key=lambda name: (order.index(name.split("_")[0]), [int(part) for part in re.findall(r"\d+", name)[:2]]))
    return [shapes[name][0] for name in keys]


def nested(channels: list[int], kind: str = "standard", token: int = 768, seed: str = "ip", embed: int = 0) -> dict:
    """``{"image_proj": ..., "ip_adapter": ...}`` in float32, as a .bin file holds it and as diffusers takes it."""
    embed = embed or (POOLED if kind == "standard" else HIDDEN)
    attention = {
        f"{2 * index + 1}.to_{part}_ip.weight": (width, token) for index, width in enumerate(channels) for part in "kv"
    }
    shapes = {"image_proj": _projector(kind, embed, token), "ip_adapter": attention}
    return {
        name: {key: _value(key, shape, f"{seed}:{kind}:{name}") for key, shape in part.items()}
        for name, part in shapes.items()
    }


def flat(parts: dict) -> dict:
    """``nested`` as a safetensors file holds it: the part's name before a dot."""
    return {f"{part}.{name}": tensor for part, group in parts.items() for name, tensor in group.items()}


def save(path: Path, parts: dict) -> Path:
    """Write ``nested``'s result to ``path``, by its ending as safetensors or as a pickle; returns ``path``."""
    import torch
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".bin":
        torch.save(parts, path)
    else:
        save_file({name: tensor.contiguous() for name, tensor in flat(parts).items()}, path)
    return path


def vision(seed: str = "vision", config: dict = VISION) -> dict:
    """Float32 tensors of a CLIP vision model with the configuration ``config``.

    ComfyUI keeps such models in float16, so the values are ones that float16 holds.
    """
    hidden, inner, patch = (config[name] for name in ("hidden_size", "intermediate_size", "patch_size"))
    places = (config["image_size"] // patch) ** 2 + 1
    shapes = {
        "vision_model.embeddings.class_embedding": (hidden,),
        "vision_model.embeddings.patch_embedding.weight": (hidden, 3, patch, patch),
        "vision_model.embeddings.position_embedding.weight": (places, hidden),
        "visual_projection.weight": (config["projection_dim"], hidden),
    }
    for index in range(config["num_hidden_layers"]):
        layer = f"vision_model.encoder.layers.{index}"
        for name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj"):
            shapes |= _linear(f"{layer}.{name}", hidden, hidden)
        shapes |= _linear(f"{layer}.mlp.fc1", inner, hidden) | _linear(f"{layer}.mlp.fc2", hidden, inner)
        shapes |= _norm(f"{layer}.layer_norm1", hidden) | _norm(f"{layer}.layer_norm2", hidden)
    for name in ("pre_layrnorm", "post_layernorm"):
        shapes |= _norm(f"vision_model.{name}", hidden)
    return {name: _value(name, shape, seed).half().float() for name, shape in shapes.items()}


def _projector(kind: str, embed: int, token: int) -> layouts.Shapes:
    if kind == "standard":
        return _linear("proj", 4 * token, embed) | _norm("norm", token)
    if kind == "full":
        return _linear("proj.0", embed, embed) | _linear("proj.2", token, embed) | _norm("proj.3", token)
    shapes = {"latents": (1, TOKENS, INNER)} | _linear("proj_in", INNER, embed) | _linear("proj_out", token, INNER)
    shapes |= _norm("norm_out", token)
    heads = 2 * HEAD
    for index in range(4):
        gather, feed = f"layers.{index}.0", f"layers.{index}.1"
        shapes |= _norm(f"{gather}.norm1", INNER) | _norm(f"{gather}.norm2", INNER) | _norm(f"{feed}.0", INNER)
        shapes |= {f"{gather}.to_q.weight": (heads, INNER), f"{gather}.to_kv.weight": (2 * heads, INNER)}
        shapes |= {f"{gather}.to_out.weight": (INNER, heads)}
        shapes |= {f"{feed}.1.weight": (4 * INNER, INNER), f"{feed}.3.weight": (INNER, 4 * INNER)}
    return shapes


def _linear(name: str, out: int, width: int) -> layouts.Shapes:
    return {f"{name}.weight": (out, width), f"{name}.bias": (out,)}


def _norm(name: str, width: int) -> layouts.Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _value(name: str, shape: tuple[int, ...], seed: str):
    sample = filling.noise(shape, f"{seed}:{name}")
    if _NORM.search(name):
        return 1 + 0.05 * sample
    if len(shape) == 1:
        return 0.1 * sample
    if name == "latents" or "position_embedding" in name:
        return 0.3 * sample
    gain = GAIN if "_ip." in name else 1.0
    return sample * (gain / math.sqrt(math.prod(shape[1:])))
