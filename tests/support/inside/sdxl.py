"""How core loads SDXL inpainting models and a union ControlNet, and what our nodes make of them."""

import importlib.util
import logging

import comfy.controlnet
import comfy.model_detection
import comfy.ops
import comfy.sample
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from comfy_extras.nodes_controlnet import SetUnionControlNetType
from imageine.nodes import controls, ip_adapter
from imageine.nodes.algorithms import ip_references
from imageine.nodes.algorithms.ip_adapter import from_state
from safetensors.torch import load_file

import nodes

FULL = {
    "image_size": 32,
    "in_channels": 9,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [2, 2, 2],
    "channel_mult": [1, 2, 4],
    "transformer_depth": [0, 0, 2, 2, 10, 10],
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10],
    "transformer_depth_middle": 10,
    "context_dim": 2048,
    "adm_in_channels": 2816,
    "num_classes": "sequential",
    "num_head_channels": 64,
    "use_spatial_transformer": True,
    "use_linear_in_transformer": True,
    "legacy": False,
}
DIFFUSERS = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
SETTINGS = {"strength": 1.0, "start": 0.0, "end": 1.0}
EMBEDDING = 48  # channels of the adapter's image encoder, as support.seeded_ip_adapter has them


def main(extension: str, checkpoint: str, union: str, adapter: str) -> dict:
    """What the tests check, by topic. ``extension`` is the file that lets core take the short SDXL."""
    torch.set_num_threads(1)
    report = full_size()
    load_extension(extension)
    log = Log()
    with torch.inference_mode():
        model, clip, vae = nodes.CheckpointLoaderSimple().load_checkpoint(checkpoint)
        control_net = nodes.ControlNetLoader().load_controlnet(union)[0]
        texts = [nodes.CLIPTextEncode().encode(clip, text)[0] for text in ("a navy suit", "blurry")]
        tokens, options = texts[0][0]
        base = model.model
        return report | {
            "model": {
                "class": type(base).__name__,
                "latents": type(base.latent_format).__name__,
                "channels": base.diffusion_model.input_blocks[0][0].weight.shape[1],
                "inpaints": base.concat_keys == ("mask", "masked_image"),
            },
            "missing": log.missing,
            "text": {"tokens": list(tokens.shape), "pooled": list(options["pooled_output"].shape)},
            "controlled": controlled(texts, control_net, vae),
            "adapter": adapted(model, texts, from_state(load_file(adapter)), vae),
        }


class Log(logging.Handler):
    """Gathers what core warns of while it loads, of missing tensors above all."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.missing: list[str] = []
        logging.getLogger().addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if "missing" in text or "leftover" in text or "left over" in text:
            self.missing.append(text)


def load_extension(path: str) -> None:
    spec = importlib.util.spec_from_file_location("short_sdxl", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def full_size() -> dict:
    """What core's detection says of the real files' names and shapes; no weights."""
    from diffusers import ControlNetUnionModel, UNet2DConditionModel

    with torch.device("meta"):
        single = UNetModel(**FULL, operations=comfy.ops.disable_weight_init, device="meta").state_dict()
        up = ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D")
        diffusers = UNet2DConditionModel(in_channels=9, up_block_types=up, **DIFFUSERS).state_dict()
        union = ControlNetUnionModel(num_control_type=8, **DIFFUSERS).state_dict()
    prefix = "model.diffusion_model."
    found = comfy.model_detection.model_config_from_unet({prefix + key: one for key, one in single.items()}, prefix)
    other = comfy.model_detection.model_config_from_diffusers_unet(diffusers)
    control = comfy.model_detection.unet_config_from_diffusers_unet(union)
    return {
        "single file": {"class": type(found).__name__, "inpaints": found.inpaint_model()},
        "diffusers": {"class": type(other).__name__, "inpaints": other.inpaint_model()},
        "union": {"channels": control["model_channels"], "vector": control["adm_in_channels"]},
    }


def controlled(texts: list, control_net, vae) -> dict:
    """Both controls on, then the crop and its mask: what the positive conditioning holds."""
    nets = {
        f"{kind}_control_net": SetUnionControlNetType.execute(control_net, name)[0]
        for kind, name in (("pose", "openpose"), ("depth", "depth"))
    }
    maps = {"pose_map": torch.rand(1, 128, 128, 3), "depth_map": torch.rand(1, 128, 128, 3)}
    rows = {f"{kind}_{name}": value for kind in ("pose", "depth") for name, value in SETTINGS.items()}
    switches = {"use_pose": True, "use_depth": True}
    both = controls.ApplyControls.execute(*texts, **nets, **maps, **rows, **switches)
    positive = inpaint(both[0], both[1], vae)[0]
    options = positive[0][1]
    chain = [options["control"], options["control"].previous_controlnet]
    return {
        "pooled": list(options["pooled_output"].shape),
        "kinds": [one.extra_args["control_type"] for one in chain],
        "concatenated": "concat_latent_image" in options and "concat_mask" in options,
    }


def inpaint(positive, negative, vae):
    mask = torch.zeros(1, 128, 128)
    mask[:, 32:96, 32:96] = 1.0
    crop = torch.linspace(0, 1, 128)[None, None, :, None].expand(1, 128, 128, 3)
    return nodes.InpaintModelConditioning().encode(positive, negative, crop, vae, mask)


def adapted(model, texts: list, adapter, vae) -> dict:
    """Two steps with and without an IP-Adapter."""
    generator = torch.Generator().manual_seed(3)
    positive = torch.randn(1, EMBEDDING, generator=generator)
    embeds = ip_references.collect(positive, torch.zeros_like(positive))
    loaded = ip_adapter.Adapter(adapter)
    steered = ip_adapter.ApplyIPAdapter.execute(model=model, ip_adapter=loaded, weight=1.0, embeds=embeds)[0]
    conditions = inpaint(*texts, vae)
    settings = (1, 2, 7.0, "euler", "normal", *conditions, 1.0)
    plain, changed = (nodes.KSampler().sample(one, *settings)[0]["samples"] for one in (model, steered))
    return {
        "patched": len(steered.model_options["transformer_options"]["patches_replace"]["attn2"]),
        "effect": float((plain - changed).abs().max()),
    }
