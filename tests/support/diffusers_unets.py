"""Full-depth UNets in diffusers, SD 1.5 and SDXL, narrow, with seeded weights; their predictions under IP-Adapters."""

import math
from pathlib import Path

import torch
from diffusers import DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.embeddings import get_timestep_embedding
from safetensors.torch import save_file
from support import seeded_ip_adapter
from support.unet_cases import CASES, SCALES, UNETS


def build_unet(base: str):
    """diffusers' UNet with seeded weights, damped where residual branches close."""
    unet = UNet2DConditionModel(**UNETS[base]).eval()
    generator = torch.Generator().manual_seed(3)
    for name, tensor in unet.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim == 1:
            tensor.copy_((1.0 if "norm" in name and name.endswith("weight") else 0.0) + 0.05 * noise)
        else:
            tensor.copy_(noise / math.sqrt(math.prod(tensor.shape[1:])))
    return unet


class Network:
    """The UNet of ``base`` with an adapter and the inputs of its forward pass; files for ComfyUI in ``folder``."""

    def __init__(self, base: str, folder: Path):
        self.base, self.unet, self.inputs = base, build_unet(base), inputs(base)
        self.adapter = seeded_ip_adapter.nested(channels(self.unet), token=UNETS[base]["cross_attention_dim"])
        self.files = [folder / f"{base} {name}.safetensors" for name in ("unet", "adapter", "inputs")]
        save_file({name: one.contiguous() for name, one in self.unet.state_dict().items()}, self.files[0])
        seeded_ip_adapter.save(self.files[1], self.adapter)
        save_file(self.inputs, self.files[2])

    def predict(self) -> dict[str, torch.Tensor]:
        """diffusers' predicted noise for every case, and for none ("plain")."""
        return by_diffusers(self.base, self.unet, self.adapter, self.inputs)


def channels(unet) -> list[int]:
    """Of the cross-attentions in diffusers' own order, which is that of the files."""
    found = [name.removesuffix(".processor") for name in unet.attn_processors if "attn2" in name]
    return [unet.get_submodule(name).to_q.out_features for name in found]


def inputs(base: str) -> dict:
    generator = torch.Generator().manual_seed(5)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    region = torch.zeros(1, 128, 192)
    region[:, 32:, :96] = 1.0
    negative = torch.zeros(1, seeded_ip_adapter.POOLED)
    sigma = torch.tensor([1.5])
    found = {
        "x": noise(1, 4, 16, 24).repeat(2, 1, 1, 1) * 1.8,
        "context": noise(2, 77, UNETS[base]["cross_attention_dim"]),
        "positive": noise(1, seeded_ip_adapter.POOLED),
        "negative": negative,
        "region": region,
        "sigma": sigma,
    }
    if base == "SDXL":
        sizes = torch.tensor([1024, 1024, 0, 0, 1024, 1024]).float()
        times = get_timestep_embedding(sizes, 256, flip_sin_to_cos=True, downscale_freq_shift=0).flatten()
        pooled = noise(2, 1280)
        found |= {"y": torch.cat([pooled, times.expand(2, -1)], 1), "pooled": pooled, "sizes": sizes.expand(2, -1)}
    return {name: tensor.contiguous() for name, tensor in found.items()}


def by_diffusers(base: str, unet, parts: dict, given: dict) -> dict:
    """The predicted noise of every case. The timestep is the one whose noise level is nearest to sigma's."""
    results = {"plain": forward(unet, given)}
    unet._load_ip_adapter_weights([parts], low_cpu_mem_usage=False)
    for name, case in CASES.items():
        scale = SCALES[base].get(case.get("weight_type"), case["weight"])
        holder = type("Holder", (), {"unet": unet, "unet_name": "unet"})()
        StableDiffusionPipeline.set_ip_adapter_scale(holder, scale)
        results[name] = forward(unet, given, case.get("masked", False))
    return results


@torch.inference_mode()
def forward(unet, given: dict, masked: bool = False) -> torch.Tensor:
    conditions = {}
    if unet.encoder_hid_proj is not None:
        conditions["image_embeds"] = [torch.cat([given["negative"], given["positive"]])[:, None]]
    if "pooled" in given:
        conditions |= {"text_embeds": given["pooled"], "time_ids": given["sizes"]}
    options = {"ip_adapter_masks": [given["region"][:, None]]} if masked else None
    return unet(
        given["x"] / (1 + given["sigma"] ** 2) ** 0.5,
        timestep(float(given["sigma"])),
        given["context"],
        added_cond_kwargs=conditions,
        cross_attention_kwargs=options,
    ).sample


def timestep(sigma: float) -> torch.Tensor:
    alphas = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod
    levels = ((1 - alphas) / alphas) ** 0.5
    return (levels - sigma).abs().argmin()
