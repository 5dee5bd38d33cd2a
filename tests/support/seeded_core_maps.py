"""Small SDPose and Depth Anything 3 with seeded random weights, in the files that core's own nodes load.

Depth Anything 3 is the smallest size that core knows (12 layers of 384) with the head of the monocular models, narrow.
SDPose has fewer layers, and its heatmap head is whole. Depths and joints depend on the picture and mean nothing.
"""

from pathlib import Path

from imageine.runner.demo import filling, layouts
from support import seeded_sdxl

SDPOSE = "sdpose_wholebody_fp16.safetensors"
DEPTH_ANYTHING_3 = "depth_anything_3_mono_large.safetensors"

JOINTS = 133
# SDPose reads 640 channels at the full resolution, which a second level of twice the width puts out.
SHORT = layouts.UNetVariant(multipliers=(1, 2), attention=(False, True), blocks=1)
_POSE_CONTEXT, _POSE_VECTOR = 1024, 4

_DEPTH_WIDTH, _DEPTH_LAYERS, _PATCH, _GRID = 384, 12, 14, 37
_HEAD, _STAGES = 16, (8, 16, 24, 32)


def sdpose() -> "filling.Tensors":
    """The checkpoint in float32: UNet with heatmap head, and the autoencoder of block means."""
    width = 2 * layouts.CHANNELS
    network = seeded_sdxl.unet(4, _POSE_CONTEXT, _POSE_VECTOR, SHORT)
    network |= {
        "heatmap_head.deconv_layers.0.weight": (width, width, 4, 4),
        "heatmap_head.conv_layers.0.weight": (width, width, 1, 1),
        "heatmap_head.conv_layers.0.bias": (width,),
        "heatmap_head.final_layer.weight": (JOINTS, width, 1, 1),
        "heatmap_head.final_layer.bias": (JOINTS,),
    }
    parts = {
        "model.diffusion_model": filling.fill(network, "sdpose", filling.UNET_GAINS),
        "first_stage_model": filling.block_mean(layouts.taesd()),
    }
    return {f"{part}.{name}": tensor for part, group in parts.items() for name, tensor in group.items()}


def depth_anything_3() -> "filling.Tensors":
    """The model in float32, with a head for depth and one for sky."""
    tensors = filling.fill(_backbone() | _head(), "depth-anything-3", {"output.dense.": 0.5, "fc2.": 0.5})
    for name, tensor in tensors.items():
        if "lambda1" in name:
            tensor.fill_(1)
    tensors["head.scratch.sky_output_conv2.2.bias"].fill_(-10)  # no sky anywhere
    return tensors


def _backbone() -> layouts.Shapes:
    width = _DEPTH_WIDTH
    shapes = {
        "backbone.embeddings.position_embeddings": (1, _GRID**2 + 1, width),
        "backbone.embeddings.cls_token": (1, 1, width),
        **_layer("backbone.embeddings.patch_embeddings.projection", width, 3, _PATCH, _PATCH),
        **_norm("backbone.layernorm", width),
    }
    for index in range(_DEPTH_LAYERS):
        layer = f"backbone.encoder.layer.{index}"
        for name in ("attention.query", "attention.key", "attention.value", "output.dense"):
            shapes |= _layer(f"{layer}.attention.{name}", width, width)
        shapes |= _layer(f"{layer}.mlp.fc1", 4 * width, width) | _layer(f"{layer}.mlp.fc2", width, 4 * width)
        shapes |= _norm(f"{layer}.norm1", width) | _norm(f"{layer}.norm2", width)
        shapes |= {f"{layer}.layer_scale{place}.lambda1": (width,) for place in (1, 2)}
    return shapes


def _head() -> layouts.Shapes:
    first, second, _, last = _STAGES
    shapes = _layer("head.resize_layers.0", first, first, 4, 4) | _layer("head.resize_layers.1", second, second, 2, 2)
    shapes |= _layer("head.resize_layers.3", last, last, 3, 3)
    for index, width in enumerate(_STAGES):
        shapes |= _layer(f"head.projects.{index}", width, _DEPTH_WIDTH, 1, 1)
        shapes[f"head.scratch.layer{index + 1}_rn.weight"] = (_HEAD, width, 3, 3)
        block = f"head.scratch.refinenet{index + 1}"
        shapes |= _layer(f"{block}.out_conv", _HEAD, _HEAD, 1, 1)
        for unit in (1, 2) if index < len(_STAGES) - 1 else (2,):  # the deepest has nothing to add to
            for conv in (1, 2):
                shapes |= _layer(f"{block}.resConfUnit{unit}.conv{conv}", _HEAD, _HEAD, 3, 3)
    shapes |= _layer("head.scratch.output_conv1", _HEAD // 2, _HEAD, 3, 3)
    for name in ("output_conv2", "sky_output_conv2"):
        shapes |= _layer(f"head.scratch.{name}.0", 32, _HEAD // 2, 3, 3) | _layer(f"head.scratch.{name}.2", 1, 32, 1, 1)
    return shapes


def _layer(name: str, *shape: int) -> layouts.Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def _norm(name: str, width: int) -> layouts.Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def models_folder(folder: Path) -> Path:
    """Put both files into ``folder``, a ComfyUI models folder; returns it."""
    seeded_sdxl.save(folder / "checkpoints" / SDPOSE, sdpose())
    seeded_sdxl.save(folder / "geometry_estimation" / DEPTH_ANYTHING_3, depth_anything_3())
    return folder
