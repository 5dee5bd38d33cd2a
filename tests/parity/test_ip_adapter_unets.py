"""Full-depth UNets, SD 1.5 and SDXL, narrow: every cross-attention is patched, and the output is diffusers'."""

import json
import math

import pytest
from support import comfyui as comfyui_support
from support import seeded_ip_adapter

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

BOUND = 5e-4
SHARED = {"sample_size": 16, "block_out_channels": (32, 64, 128, 128), "layers_per_block": 2}
UNETS = {
    "SD 1.5": SHARED | {"cross_attention_dim": 768, "attention_head_dim": 8},
    "SDXL": SHARED
    | {
        "block_out_channels": (64, 128, 256),  # ComfyUI has 64 channels per attention head in every SDXL
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "attention_head_dim": (1, 2, 4),
        "cross_attention_dim": 2048,
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
COUNTS = {"SD 1.5": 16, "SDXL": 70}
# What the blocks of each weight type are called by diffusers' set_ip_adapter_scale.
SCALES = {
    "SD 1.5": {
        "style": {"up": {"block_1": [1.0, 1.0, 1.0]}},
        "composition": {"down": {"block_2": [1.0, 1.0]}, "mid": 1.0},
    },
    "SDXL": {"style": {"up": {"block_0": [0.0, 1.0, 0.0]}}, "composition": {"down": {"block_2": [0.0, 1.0]}}},
}
CASES = {
    "linear 1": {"weight": 1.0},
    "linear 0.5, masked": {"weight": 0.5, "masked": True},
    "style": {"weight": 1.0, "weight_type": "style"},
    "composition": {"weight": 1.0, "weight_type": "composition"},
}


def build_unet(base: str):
    """diffusers' UNet with seeded weights, damped where residual branches close."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(**UNETS[base]).eval()
    generator = torch.Generator().manual_seed(3)
    for name, tensor in unet.state_dict().items():
        noise = torch.randn(tensor.shape, generator=generator)
        if tensor.ndim == 1:
            tensor.copy_((1.0 if "norm" in name and name.endswith("weight") else 0.0) + 0.05 * noise)
        else:
            tensor.copy_(noise / math.sqrt(math.prod(tensor.shape[1:])))
    return unet


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
        from diffusers.models.embeddings import get_timestep_embedding

        times = get_timestep_embedding(sizes, 256, flip_sin_to_cos=True, downscale_freq_shift=0).flatten()
        pooled = noise(2, 1280)
        found |= {"y": torch.cat([pooled, times.expand(2, -1)], 1), "pooled": pooled, "sizes": sizes.expand(2, -1)}
    return {name: tensor.contiguous() for name, tensor in found.items()}


@pytest.fixture(scope="module", params=list(UNETS))
def both(request, comfyui_dir, tmp_path_factory):
    """(base, ComfyUI's report, its results, diffusers' results)."""
    from safetensors.torch import load_file, save_file

    base, folder = request.param, tmp_path_factory.mktemp("unet")
    unet, given = build_unet(base), inputs(base)
    parts = seeded_ip_adapter.nested(channels(unet), token=UNETS[base]["cross_attention_dim"])
    save_file({name: tensor.contiguous() for name, tensor in unet.state_dict().items()}, folder / "unet.safetensors")
    seeded_ip_adapter.save(folder / "adapter.safetensors", parts)
    save_file(given, folder / "inputs.safetensors")
    files = [folder / f"{name}.safetensors" for name in ("unet", "adapter", "inputs")]
    report = comfyui_support.run_inside(
        comfyui_dir, "ip_adapter_unet", base, *files, json.dumps(CASES), folder / "out.safetensors", base=folder
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # at this size a second thread gains nothing and, on a busy machine, loses a lot
    theirs = by_diffusers(base, unet, parts, given)
    torch.set_num_threads(threads)
    return base, report, load_file(folder / "out.safetensors"), theirs


def by_diffusers(base: str, unet, parts: dict, given: dict) -> dict:
    """The predicted noise of every case. The timestep is the one whose noise level is nearest to sigma's."""
    from diffusers import StableDiffusionPipeline

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
    from diffusers import DDPMScheduler

    alphas = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").alphas_cumprod
    levels = ((1 - alphas) / alphas) ** 0.5
    return (levels - sigma).abs().argmin()


def test_every_cross_attention_is_patched(both, figures):
    base, report, _, _ = both
    patched = report["linear 1"]["patched"]
    figures(f"IP-Adapter on {base}: {patched}/{COUNTS[base]} cross-attentions patched")
    assert patched == COUNTS[base] and "middle 0" in report["linear 1"]["blocks"]


@pytest.mark.parametrize("name", ["plain", *CASES])
def test_the_predicted_noise_agrees(name, both, figures):
    base, _, ours, theirs = both
    difference = float((ours[name] - theirs[name]).abs().max())
    effect = float((ours[name] - ours["plain"]).abs().max())
    figures(
        f"{base} UNet at full depth, IP-Adapter {name}, one forward, ComfyUI against diffusers: max abs difference "
        f"{difference:.1e} (the reference itself changes it by up to {effect:.2f})"
    )
    assert difference < BOUND
    assert name == "plain" or effect > 100 * difference
