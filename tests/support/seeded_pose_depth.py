"""Tiny ViTPose and Depth Anything with seeded weights, in the folder format of the hub's.

The depth model is random: its map depends on the picture and means nothing. The pose model is set by hand so that it
sees the same standing person in every box, a little disturbed by the picture: a skeleton that can be looked at.
"""

import functools
import json
import tempfile
from pathlib import Path

import torch
from imageine.runner.demo import filling, trained_depth

# Where the joints of the standing person are, in shares (x, y) of the model's input; COCO's order.
PERSON = (
    *((0.50, 0.16), (0.53, 0.14), (0.47, 0.14), (0.56, 0.15), (0.44, 0.15)),
    *((0.62, 0.27), (0.38, 0.27), (0.69, 0.40), (0.31, 0.40), (0.66, 0.53), (0.34, 0.53)),
    *((0.57, 0.54), (0.43, 0.54), (0.58, 0.70), (0.42, 0.70), (0.58, 0.86), (0.42, 0.86)),
)
HEIGHT, WIDTH = 256, 192
_GRID = (HEIGHT // 16, WIDTH // 16)
_CHANNELS = 32

_POSE_PROCESSOR = {
    "do_affine_transform": True,
    "do_normalize": True,
    "do_rescale": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "VitPoseImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "normalize_factor": 200.0,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": HEIGHT, "width": WIDTH},
}
_DEPTH_PROCESSOR = {**trained_depth.PROCESSOR, "ensure_multiple_of": 14, "size": {"height": 518, "width": 518}}


def vitpose(folder: Path, random: bool = False, experts: int = 1) -> Path:
    """Write a ViTPose to ``folder``; ``random``: heatmaps without a person, for comparisons of numbers."""
    import transformers

    backbone = transformers.VitPoseBackboneConfig(
        image_size=[HEIGHT, WIDTH],
        hidden_size=_CHANNELS,
        num_hidden_layers=2,
        num_attention_heads=2,
        mlp_ratio=2,
        num_experts=experts,
        part_features=8 if experts > 1 else 0,
        out_indices=[2],
    )
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=len(PERSON))
    model = transformers.VitPoseForPoseEstimation(config).eval().requires_grad_(False)
    _fill(model, "vitpose")
    if not random:
        _set_person(model)
    return _save(model, folder, _POSE_PROCESSOR)


def depth_anything(folder: Path, metric: bool = False) -> Path:
    """Write a Depth Anything to ``folder``."""
    import transformers

    backbone = transformers.Dinov2Config(
        hidden_size=_CHANNELS,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=518,
        patch_size=14,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    kind = {"depth_estimation_type": "metric", "max_depth": 20} if metric else {}
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=_CHANNELS,
        neck_hidden_sizes=[8, 16, 24, 32],
        fusion_hidden_size=16,
        head_hidden_size=8,
        **kind,
    )
    model = transformers.DepthAnythingForDepthEstimation(config).eval().requires_grad_(False)
    _fill(model, "depth-anything")
    if not metric:
        model.head.conv3.bias.fill_(2.0)  # disparity is never negative: without this half of the map would be cut off
    return _save(model, folder, _DEPTH_PROCESSOR)


def _fill(model: torch.nn.Module, seed: str) -> None:
    for name, tensor in model.named_parameters():
        tensor.copy_(filling.value(name, tuple(tensor.shape), seed, {}))


def _save(model: torch.nn.Module, folder: Path, processor: dict) -> Path:
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    text = json.dumps(processor, indent=2) + "\n"
    (folder / "preprocessor_config.json").write_text(text, encoding="utf-8")
    return folder


def _set_person(model: torch.nn.Module) -> None:
    """Channel k of the tokens carries joint k from the position embeddings to heatmap k, past the layers."""
    embeddings = model.backbone.embeddings
    positions = torch.zeros(_GRID[0], _GRID[1], _CHANNELS)
    for joint, (x, y) in enumerate(PERSON):
        _place(positions[..., joint], x * _GRID[1] - 0.5, y * _GRID[0] - 0.5)
    embeddings.position_embeddings.zero_()
    embeddings.position_embeddings[0, 1:] = positions.flatten(0, 1)
    embeddings.patch_embeddings.projection.weight.mul_(0.005)
    embeddings.patch_embeddings.projection.bias.zero_()
    for name, tensor in model.backbone.named_parameters():
        if ".attention.output." in name or ".mlp.fc2." in name:
            tensor.zero_()
    norm = model.backbone.layernorm
    norm.weight.fill_(1.0)
    norm.bias.zero_()
    head = model.head.conv
    head.weight.zero_()
    head.bias.zero_()
    for joint in range(len(PERSON)):
        head.weight[joint, joint, 1, 1] = 0.25


def _place(grid: torch.Tensor, x: float, y: float) -> None:
    """Spread 1 over the four points of ``grid`` around (x, y)."""
    left, top = int(x), int(y)
    right, down = x - left, y - top
    grid[top, left] += (1 - right) * (1 - down)
    grid[top, left + 1] += right * (1 - down)
    grid[top + 1, left] += (1 - right) * down
    grid[top + 1, left + 1] += right * down


@functools.cache
def template(kind: str) -> Path:
    """The folder of a model, "vitpose", "random vitpose", "depth" or "metric depth"; shared, so not to be changed."""
    folder = Path(tempfile.mkdtemp(prefix="imageine-tiny-"))
    if kind.endswith("vitpose"):
        return vitpose(folder, random=kind.startswith("random"))
    return depth_anything(folder, metric=kind.startswith("metric"))
