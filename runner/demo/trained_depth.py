"""A tiny Depth Anything that was trained on the demo's toy world, in the folder format of the hub's.

In that world all things are equally large, so what looks larger is nearer; the background is farthest. demo/depth.py
trained the backbone and a layer that says from a patch's token how near its cells are; the decoder is set by hand to
hand that on. torch, safetensors and transformers are imported inside the functions.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import trained_painter

if TYPE_CHECKING:
    from .filling import Tensors

WEIGHTS = Path(__file__).with_name("weights") / "depth.safetensors"

SIZE = 128  # what the shorter edge of a picture is scaled to
PATCH = 8
LAYERS = 6
CELLS = 4  # of a patch's side: every 2x2 pixels have a depth

# DPTImageProcessor's settings, as the hub's folders have them but for the size.
PROCESSOR = {
    "do_normalize": True,
    "do_pad": False,
    "do_rescale": True,
    "do_resize": True,
    "ensure_multiple_of": PATCH,
    "image_mean": [0.485, 0.456, 0.406],
    "image_processor_type": "DPTImageProcessor",
    "image_std": [0.229, 0.224, 0.225],
    "keep_aspect_ratio": True,
    "resample": 3,
    "rescale_factor": 1 / 255,
    "size": {"height": SIZE, "width": SIZE},
    "size_divisor": None,
}


def save(folder: Path, weights: Path = WEIGHTS) -> Path:
    """Write config.json, model.safetensors and preprocessor_config.json to ``folder``; returns it.

    ``weights`` holds what was trained, in any precision; the folder's are float32. Raises ``OSError`` when it is not
    there, ``RuntimeError`` when its tensors are not those of ``backbone()`` and the patches' layer.
    """
    from transformers import DepthAnythingForDepthEstimation

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = DepthAnythingForDepthEstimation(configuration()).eval().requires_grad_(False)
    trained = trained_painter.narrow(weights)
    patches = {name: trained.pop(f"patches.{name}") for name in ("weight", "bias")}
    for parameter in model.parameters():
        parameter.zero_()
    model.load_state_dict({name: trained.pop(name, tensor) for name, tensor in model.state_dict().items()})
    if trained:
        raise RuntimeError(f"{weights} has tensors that the model has not: {', '.join(sorted(trained))}")
    _carry(model, patches)
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2) + "\n", encoding="utf-8")
    return folder


def backbone(layers: int = LAYERS, outputs: Sequence[int] = (LAYERS,)):
    """A Dinov2Config of width 64 on patches of 8 pixels."""
    from transformers import Dinov2Config

    return Dinov2Config(
        hidden_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        mlp_ratio=2,
        image_size=SIZE,
        patch_size=PATCH,
        out_indices=list(outputs),
        reshape_hidden_states=False,
        apply_layernorm=True,
        layerscale_value=1.0,
    )


def configuration():
    """A DepthAnythingConfig, relative depth. Its last three layers do nothing: all four outputs are the same."""
    from transformers import DepthAnythingConfig

    return DepthAnythingConfig(
        backbone_config=backbone(LAYERS + 3, range(LAYERS, LAYERS + 4)),
        patch_size=PATCH,
        reassemble_hidden_size=64,
        neck_hidden_sizes=[CELLS**2, 8, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=8,
    )


def _carry(model, patches: "Tensors") -> None:
    """Set the decoder by hand: what ``patches`` says of a token's 4x4 cells goes through it as it is.

    All its residual branches are 0. The disparity is positive, so that no ReLU changes it.
    """
    first = model.neck.reassemble_stage.layers[0]
    first.projection.weight.copy_(patches["weight"][..., None, None])
    first.projection.bias.copy_(patches["bias"])
    for cell in range(CELLS**2):
        first.resize.weight[cell, 0, cell // CELLS, cell % CELLS] = 1
    for conv in (model.neck.convs[0], model.head.conv1, model.head.conv2):
        conv.weight[0, 0, 1, 1] = 1
    for conv in (model.neck.fusion_stage.layers[-1].projection, model.head.conv3):
        conv.weight[0, 0, 0, 0] = 1
