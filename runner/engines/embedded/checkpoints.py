"""Model files in the layouts that ComfyUI keeps them in, loaded into diffusers' and transformers' own classes.

Nothing is ever downloaded: diffusers wants a configuration beside each single file, and what these files leave open
is read from their tensors' shapes.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import ModelError
from . import tokenizer

if TYPE_CHECKING:
    import torch
    from diffusers import ControlNetModel

    Shapes = dict[str, tuple[int, ...]]

LATENT_SCALE = 0.18215  # of Stable Diffusion 1.5's autoencoder
_CHANNELS, _CONTEXT = 320, 768
_PREFIX = "model.diffusion_model."
_TINY = "first_stage_model.taesd_"
_TINY_SCALE = "first_stage_model.vae_scale"


@dataclass(frozen=True)
class Checkpoint:
    """An SD 1.5 inpainting checkpoint: diffusers' networks, ready to run, and CLIP's tokenizer."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any


def load_checkpoint(path: Path, dtype: "torch.dtype") -> Checkpoint:
    """Raises ``ModelError`` ``model_corrupt`` for a file that holds something else."""
    from diffusers import StableDiffusionInpaintPipeline

    shapes = _shapes(path)
    inputs = shapes.get(f"{_PREFIX}input_blocks.0.0.weight", (0, 0))
    if inputs[:2] != (_CHANNELS, 9) or _context(shapes) != _CONTEXT:
        raise _another(path, "an SD 1.5 inpainting checkpoint (a UNet of 9 input channels)", "sd15-inpainting")
    parts = {"vae": _tiny_autoencoder(path, dtype)} if any(name.startswith(_TINY) for name in shapes) else {}
    unet = {name.removeprefix(_PREFIX): shape for name, shape in shapes.items() if name.startswith(_PREFIX)}
    with tempfile.TemporaryDirectory(prefix="imageine-") as folder:
        _write_configuration(Path(folder), unet)
        pipeline = StableDiffusionInpaintPipeline.from_single_file(
            str(path), config=folder, local_files_only=True, torch_dtype=dtype, safety_checker=None, **parts
        )
    pipeline.vae.eval()
    return Checkpoint(pipeline.unet.eval(), pipeline.vae, pipeline.text_encoder.eval(), pipeline.tokenizer)


def load_control_net(path: Path, dtype: "torch.dtype") -> "ControlNetModel":
    """Raises ``ModelError`` ``model_corrupt`` for a file that is no SD 1.5 ControlNet in the original layout."""
    from diffusers import ControlNetModel

    shapes = {name.removeprefix("control_model."): shape for name, shape in _shapes(path).items()}
    hints = [shapes.get(f"input_hint_block.{place}.weight", (0,))[0] for place in (0, 4, 8, 12)]
    if not all(hints) or _context(shapes) != _CONTEXT:
        raise _another(path, "an SD 1.5 ControlNet in the original layout", "complex")
    levels = _levels(shapes)
    configuration = {
        "_class_name": "ControlNetModel",
        "in_channels": 4,
        "attention_head_dim": 8,
        "block_out_channels": [width for width, _ in levels],
        "conditioning_embedding_out_channels": hints,
        "cross_attention_dim": _CONTEXT,
        "down_block_types": [_down(attention) for _, attention in levels],
        "layers_per_block": _layers(shapes),
    }
    with tempfile.TemporaryDirectory(prefix="imageine-") as folder:
        (Path(folder) / "config.json").write_text(json.dumps(configuration), encoding="utf-8")
        return ControlNetModel.from_single_file(
            str(path), config=folder, local_files_only=True, torch_dtype=dtype
        ).eval()


def _shapes(path: Path) -> "Shapes":
    """Every tensor's shape, from the file's header alone."""
    from safetensors import SafetensorError, safe_open

    if path.suffix != ".safetensors":
        raise ModelError(
            "model_corrupt", f"{path} is no safetensors file.", "Convert it, or let ComfyUI run it: --comfyui DIR."
        )
    try:
        with safe_open(path, framework="pt") as file:
            names = file.keys()
            return {name: tuple(file.get_slice(name).get_shape()) for name in names}
    except (OSError, SafetensorError) as error:
        raise ModelError("model_corrupt", f"{path} cannot be read: {error}.", "Download it again.") from error


def _another(path: Path, wanted: str, pull: str) -> ModelError:
    return ModelError(
        "model_corrupt",
        f"{path} is not {wanted}, and without ComfyUI nothing else runs.",
        f"Run `imageine models pull {pull}`, or use a ComfyUI: --server or --comfyui.",
        {"path": str(path)},
    )


def _context(shapes: "Shapes") -> int:
    """Width of the text that the first cross-attention takes, 0 where there is none."""
    return next((shape[1] for name, shape in sorted(shapes.items()) if name.endswith("attn2.to_k.weight")), 0)


def _levels(shapes: "Shapes") -> list[tuple[int, bool]]:
    """(channels, whether there is attention) for each resolution of a UNet, top first."""
    levels = [(0, False)]
    for block in range(1, 1 + _last_block(shapes)):
        if f"input_blocks.{block}.0.op.weight" in shapes:
            levels.append((0, False))
        else:
            width = shapes[f"input_blocks.{block}.0.in_layers.2.weight"][0]
            levels[-1] = (width, f"input_blocks.{block}.1.norm.weight" in shapes)
    return levels


def _layers(shapes: "Shapes") -> int:
    """Residual blocks at each resolution."""
    blocks = [block for block in range(1, 1 + _last_block(shapes)) if f"input_blocks.{block}.0.op.weight" in shapes]
    return (blocks[0] if blocks else 1 + _last_block(shapes)) - 1


def _last_block(shapes: "Shapes") -> int:
    return max((int(name.split(".")[1]) for name in shapes if name.startswith("input_blocks.")), default=0)


def _down(attention: bool) -> str:
    return "CrossAttnDownBlock2D" if attention else "DownBlock2D"


def _tiny_autoencoder(path: Path, dtype: "torch.dtype") -> Any:
    """The TAESD inside a checkpoint, as ComfyUI stores it there."""
    from diffusers import AutoencoderTiny
    from safetensors import safe_open

    weights = {}
    with safe_open(path, framework="pt") as file:
        names = file.keys()
        # ComfyUI divides what is encoded by it, on top of Stable Diffusion's own factor.
        scale = float(file.get_tensor(_TINY_SCALE)) if _TINY_SCALE in names else 1.0
        for name in names:
            if name.startswith(f"{_TINY}encoder."):
                weights[f"encoder.layers.{name.split('.', 2)[2]}"] = file.get_tensor(name).to(dtype)
            elif name.startswith(f"{_TINY}decoder."):
                # ComfyUI's decoder begins with a layer without weights, diffusers' does that outside.
                place, rest = name.split(".", 2)[2].split(".", 1)
                weights[f"decoder.layers.{int(place) - 1}.{rest}"] = file.get_tensor(name).to(dtype)
    model = AutoencoderTiny(scaling_factor=LATENT_SCALE / scale).to(dtype)
    model.load_state_dict(weights)
    return model


def _write_configuration(folder: Path, unet: "Shapes") -> None:
    levels = _levels(unet)
    contents = {
        "model_index.json": _PIPELINE,
        "unet/config.json": {
            "_class_name": "UNet2DConditionModel",
            "sample_size": 64,
            "in_channels": 9,
            "out_channels": 4,
            "attention_head_dim": 8,
            "block_out_channels": [width for width, _ in levels],
            "cross_attention_dim": _CONTEXT,
            "down_block_types": [_down(attention) for _, attention in levels],
            "up_block_types": ["CrossAttnUpBlock2D" if it else "UpBlock2D" for _, it in reversed(levels)],
            "layers_per_block": _layers(unet),
        },
        "vae/config.json": _VAE,
        "text_encoder/config.json": _TEXT_ENCODER,
        "scheduler/scheduler_config.json": SCHEDULER,
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    tokenizer.write(folder / "tokenizer")


_PIPELINE = {
    "_class_name": "StableDiffusionInpaintPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
_VAE = {
    "_class_name": "AutoencoderKL",
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "sample_size": 512,
    "scaling_factor": LATENT_SCALE,
}
_TEXT_ENCODER = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 1,
    "hidden_act": "quick_gelu",
    "hidden_size": _CONTEXT,
    "intermediate_size": 4 * _CONTEXT,
    "max_position_embeddings": 77,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "projection_dim": _CONTEXT,
    "vocab_size": 49408,
}
SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
