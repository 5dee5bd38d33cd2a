"""A ComfyUI extension for tests: core's own loaders also take an SDXL that is as wide as the real one but short.

The whole SDXL fits no small machine. What core knows it by stays as it is (320 channels, linear projections, two text
encoders of 768 and 1280 channels, a vector of 2816); the number of layers is core's only other condition, and that is
lifted here for the files of ``support.seeded_sdxl``: attention at one resolution, and text encoders of three layers.
Detection, loading, sampling and the union ControlNet are core's code.
"""

import comfy.model_detection
import comfy.sdxl_clip
import comfy.supported_models
import comfy.supported_models_base

LAYERS = 3  # of each text encoder: SDXL takes what the last but one puts out, and core wants one before that
DEPTHS = [0, 1]  # transformers per residual block on the way down; [0, 0, 2, 2, 10, 10] in the real one


class ShortTextEncoders(comfy.sdxl_clip.SDXLClipModel):
    def __init__(self, device="cpu", dtype=None, model_options=None):
        short = {f"{name}_model_config": {"num_hidden_layers": LAYERS} for name in ("clip_l", "clip_g")}
        super().__init__(device=device, dtype=dtype, model_options={**(model_options or {}), **short})


class ShortSDXL(comfy.supported_models.SDXL):
    unet_config = {**comfy.supported_models.SDXL.unet_config, "transformer_depth": DEPTHS}

    def clip_target(self, state_dict=None):
        return comfy.supported_models_base.ClipTarget(comfy.sdxl_clip.SDXLTokenizer, ShortTextEncoders)


# Core looks up the configuration of a ControlNet in diffusers' layout in a list. This is SDXL's entry, short.
CONTROL_NET = {
    "use_checkpoint": False,
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "use_spatial_transformer": True,
    "legacy": False,
    "num_classes": "sequential",
    "adm_in_channels": 2816,
    "model_channels": 320,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 1],
    "transformer_depth": DEPTHS,
    "transformer_depth_middle": 1,
    "transformer_depth_output": [0, 0, 1, 1],
    "use_linear_in_transformer": True,
    "context_dim": 2048,
    "num_head_channels": 64,
    "use_temporal_attention": False,
    "use_temporal_resblock": False,
}
_detect = comfy.model_detection.unet_config_from_diffusers_unet


def detect_short_too(state_dict, dtype=None):
    """Core's detection, and the short ControlNet where core finds nothing."""
    found = _detect(state_dict, dtype)
    if found is None and "controlnet_cond_embedding.conv_in.weight" in state_dict:
        return {**CONTROL_NET, "dtype": dtype}
    return found


comfy.supported_models.models.insert(0, ShortSDXL)
comfy.model_detection.unet_config_from_diffusers_unet = detect_short_too

NODE_CLASS_MAPPINGS = {}
