"""A tiny Depth Anything that was trained on the demo's toy world, in the folder format of the hub's.

In that world all things are equally large, so what looks larger is nearer; the background is farthest. demo/depth.py
trained it. torch, safetensors and transformers are imported inside the functions.
"""

import json
from pathlib import Path

WEIGHTS = Path(__file__).with_name("weights") / "depth.safetensors"

SIZE = 128  # what the shorter edge of a picture is scaled to
PATCH = 8

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

    ``weights`` holds every tensor of the model, in any precision; the folder's are float32. Raises ``OSError`` when
    it is not there, ``RuntimeError`` when its tensors are not those of ``configuration()``.
    """
    from safetensors.torch import load_file
    from transformers import DepthAnythingForDepthEstimation

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = DepthAnythingForDepthEstimation(configuration()).eval()
    model.load_state_dict(load_file(weights))
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2) + "\n", encoding="utf-8")
    return folder


def configuration():
    """A DepthAnythingConfig: DINOv2 of width 64 on patches of 8 pixels, relative depth."""
    from transformers import DepthAnythingConfig, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=64,
        num_hidden_layers=6,
        num_attention_heads=4,
        mlp_ratio=2,
        image_size=SIZE,
        patch_size=PATCH,
        out_indices=[2, 4, 5, 6],
        reshape_hidden_states=False,
        apply_layernorm=True,
        layerscale_value=1.0,
    )
    return DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=PATCH,
        reassemble_hidden_size=64,
        neck_hidden_sizes=[24, 32, 48, 64],
        reassemble_factors=[2, 1, 1, 0.5],
        fusion_hidden_size=24,
        head_hidden_size=12,
    )
