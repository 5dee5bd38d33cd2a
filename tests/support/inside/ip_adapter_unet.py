"""One forward pass of a full-depth UNet under IP-Adapters, inside ComfyUI: SD 1.5 or SDXL, narrow."""

import json

import comfy.model_base
import comfy.model_management as management
import comfy.model_patcher
import comfy.supported_models
import comfy.utils
import torch
from imageine.nodes import ip_adapter
from imageine.nodes.algorithms import ip_references
from imageine.nodes.algorithms.ip_adapter import from_state
from safetensors.torch import load_file, save_file

SHARED = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "use_spatial_transformer": True,
    "legacy": False,
    "dtype": torch.float32,
}
UNETS = {
    "SD 1.5": {
        "model_channels": 32,
        "num_res_blocks": [2, 2, 2, 2],
        "channel_mult": [1, 2, 4, 4],
        "transformer_depth": [1, 1, 1, 1, 1, 1, 0, 0],
        "transformer_depth_output": [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        "transformer_depth_middle": 1,
        "context_dim": 768,
        "num_heads": 8,
        "num_head_channels": -1,
        "use_linear_in_transformer": False,
        "adm_in_channels": None,
    },
    "SDXL": {
        "model_channels": 64,
        "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 2, 4],
        "transformer_depth": [0, 0, 2, 2, 10, 10],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
        "transformer_depth_middle": 10,
        "context_dim": 2048,
        "num_heads": -1,
        "num_head_channels": 64,
        "use_linear_in_transformer": True,
        "adm_in_channels": 2816,
        "num_classes": "sequential",
    },
}


def main(base: str, weights: str, adapter: str, inputs: str, other: str, cases: str, output: str) -> dict:
    """``weights`` is a file in diffusers' names. Of ``inputs``, x is [2,4,h,w], negative chunk first, like context.

    Saves the predicted noise of every case (inputs of Apply IP-Adapter, "masked" for the region) and of none
    ("plain"); returns how many cross-attentions each patched, and what is said to ``other``, an adapter for another
    base model.
    """
    torch.set_num_threads(1)
    given = load_file(inputs)
    model = build(base, load_file(weights))
    loaded = ip_adapter.Adapter(from_state(load_file(adapter)))
    counts, results = {}, {}
    with torch.inference_mode():
        results["plain"] = predict(model, given)
        for name, settings in json.loads(cases).items():
            embeds = ip_references.collect(given["positive"], given["negative"])
            mask = given["region"] if settings.pop("masked", False) else None
            steered = ip_adapter.ApplyIPAdapter.execute(
                model=model, ip_adapter=loaded, embeds=embeds, mask=mask, **settings
            )[0]
            replaced = steered.model_options["transformer_options"]["patches_replace"]["attn2"]
            counts[name] = {"patched": len(replaced), "blocks": sorted({f"{key[0]} {key[1]}" for key in replaced})}
            results[name] = predict(steered, given)
        said = refused(model, other)
    save_file(results, output)
    return {"counts": counts, "refused": said}


def refused(model, adapter: str) -> str:
    """What Apply IP-Adapter says to ``adapter``, before it has asked for an image or an encoder to be used."""
    loaded = ip_adapter.Adapter(from_state(load_file(adapter)))
    try:
        ip_adapter.ApplyIPAdapter.execute(model=model, ip_adapter=loaded, weight=1.0, image=torch.ones(1, 8, 8, 3))
    except ValueError as error:
        return str(error)
    return ""


def build(base: str, weights: dict):
    """A ModelPatcher on ComfyUI's own UNet of ``base`` with these weights."""
    settings = SHARED | {key: value for key, value in UNETS[base].items() if value is not None}
    kind = {"SD 1.5": comfy.supported_models.SD15, "SDXL": comfy.supported_models.SDXL}[base]
    config = kind(settings)
    config.manual_cast_dtype = None
    network = {"SD 1.5": comfy.model_base.BaseModel, "SDXL": comfy.model_base.SDXL}[base]
    model = network(config, device=torch.device("cpu"))
    names = comfy.utils.unet_to_diffusers(settings)
    state = {names[name]: tensor for name, tensor in weights.items() if name in names}
    model.diffusion_model.load_state_dict(state)
    return comfy.model_patcher.ModelPatcher(model, torch.device("cpu"), torch.device("cpu"))


def predict(model, given: dict) -> torch.Tensor:
    """The noise that the UNet predicts: the first half of the batch unconditioned, the second conditioned."""
    management.load_models_gpu([model])
    options = model.model_options["transformer_options"] | {"cond_or_uncond": [1, 0], "sigmas": given["sigma"]}
    sigma = given["sigma"].expand(len(given["x"]))
    more = {"y": given["y"]} if "y" in given else {}
    clean = model.model.apply_model(
        given["x"], sigma, c_crossattn=given["context"], transformer_options=options, **more
    )
    return ((given["x"] - clean) / given["sigma"]).contiguous()
