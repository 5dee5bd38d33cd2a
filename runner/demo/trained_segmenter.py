"""A tiny SAM 2.1 that was trained on the demo's toy world, in the folder format of the hub's sam2.1-hiera-tiny.

Given a box it returns the silhouette of the shape in it; demo/segmenter.py trained it. torch, safetensors and
transformers are imported inside the functions.
"""

from pathlib import Path

from . import segment_anything

SIZE = 512
WEIGHTS = Path(__file__).with_name("weights") / "segmenter.safetensors"

_CHANNELS = (24, 48, 96, 128)  # of the four stages, whose sides are 1/4, 1/8, 1/16 and 1/32 of the picture's


def save(folder: Path, weights: Path = WEIGHTS) -> Path:
    """Write config.json, model.safetensors, preprocessor_config.json and processor_config.json to ``folder``.

    ``weights`` holds every tensor of the model, in any precision; the folder's are float32. Raises ``OSError`` when
    it is not there, ``RuntimeError`` when its tensors are not those of ``configuration()``.
    """
    from safetensors.torch import load_file
    from transformers import Sam2Model

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model = Sam2Model(configuration()).eval()
    model.load_state_dict(load_file(weights))
    model.save_pretrained(folder, safe_serialization=True)
    segment_anything.save_processor(folder, SIZE)
    return folder


def configuration(size: int = SIZE):
    """A Sam2Config for pictures of ``size`` x ``size``, a multiple of 32. The weights' shapes do not depend on it."""
    from transformers import Sam2Config

    settings = segment_anything.configuration(size).to_dict()
    vision = settings["vision_config"]
    vision["backbone_channel_list"] = list(reversed(_CHANNELS))
    vision["backbone_config"]["hidden_size"] = _CHANNELS[0]
    vision["backbone_config"]["embed_dim_per_stage"] = list(_CHANNELS)
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    return Sam2Config(**{part: settings[part] for part in parts})
