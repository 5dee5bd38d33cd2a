"""Apply IP-Adapter beside what else acts on a model in ComfyUI: LoRA, areas, samplers, data types, a second pass."""

import json

import comfy.clip_vision
import comfy.ldm.modules.attention
import comfy.model_management as management
import comfy.ops
import comfy.sd
import folder_paths
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
from imageine.nodes import folders, ip_adapter, ip_adapter_patch
from safetensors.torch import load_file

import nodes

ROWS, COLUMNS = 8, 12  # of the latent
SAMPLERS = ("euler_ancestral", "uni_pc", "lcm", "dpmpp_2m_sde", "dpmpp_3m_sde")


def main(checkpoint: str, vision: str, configuration: str, lora: str) -> dict:
    """``configuration`` of the image encoder, JSON; returns what the test asserts."""
    torch.set_num_threads(1)
    folders.register()
    with torch.inference_mode():
        stage = Stage(checkpoint, vision, json.loads(configuration))
        return {
            "lora": beside_lora(stage, lora),
            "areas": areas(stage),
            "second pass": second_pass(stage),
            "samplers": {name: sampler(stage, name) for name in SAMPLERS},
            "types": {name: data_type(stage, checkpoint, name) for name in ("bfloat16", "float16")},
            "no synchronisation": {name: on_meta(stage, name) for name in ("plain", "masked", "spy")},
        }


class Stage:
    def __init__(self, checkpoint: str, vision: str, configuration: dict):
        self.model, self.clip, _ = nodes.CheckpointLoaderSimple().load_checkpoint(checkpoint)
        self.encoder = comfy.clip_vision.ClipVisionModel(configuration)
        self.encoder.load_sd(load_file(vision))
        self.adapter = ip_adapter.LoadIPAdapter.execute("plus.safetensors")[0]
        self.image = torch.rand(1, 64, 48, 3, generator=torch.Generator().manual_seed(0))
        self.plain = sample(self.model)
        self.steered = sample(self.steer(self.model))

    def steer(self, model, weight: float = 1.0, **inputs):
        return ip_adapter.ApplyIPAdapter.execute(model, weight, self.adapter, self.image, self.encoder, **inputs)[0]


def sample(model, guidance: float = 5.0, name: str = "euler", positive=None, latent=None, denoise: float = 1.0):
    latent = torch.zeros(1, 4, ROWS, COLUMNS) if latent is None else latent
    mask = torch.ones(1, 1, *(8 * side for side in latent.shape[-2:]))
    extra = {"concat_latent_image": torch.zeros_like(latent), "concat_mask": mask}
    positive = [[text, extra | options] for text, options in positive or [(words(1), {})]]
    settings = (3, 3, guidance, name, "normal", positive, [[words(2), extra]], {"samples": latent}, denoise)
    return nodes.KSampler().sample(model, *settings)[0]["samples"]


def words(seed: int) -> torch.Tensor:
    return torch.rand(1, 77, 768, generator=torch.Generator().manual_seed(seed))


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def beside_lora(stage: Stage, name: str) -> dict:
    """A LoRA before and after the adapter, and each of them alone."""

    def with_lora(model):
        return nodes.LoraLoader().load_lora(model, stage.clip, name, 1.0, 0.0)[0]

    before, after = stage.steer(with_lora(stage.model)), with_lora(stage.steer(stage.model))
    both, alone = sample(before), sample(with_lora(stage.model))
    replaced = before.model_options["transformer_options"]["patches_replace"]["attn2"]
    return {
        "either order": apart(both, sample(after)),
        "weights patched": [len(before.patches), len(after.patches), len(stage.model.patches)],
        "attentions": len(replaced),
        "from the LoRA alone": apart(both, alone),
        "from the adapter alone": apart(both, stage.steered),
        "the model as before": apart(stage.plain, sample(stage.model)),
    }


def areas(stage: Stage) -> dict:
    """Two prompts, each in its half of the picture, at guidance 1: the halves know nothing of each other."""
    half = COLUMNS // 2
    halves = [(words(seed), {"area": (ROWS, half, 0, left), "strength": 1.0}) for seed, left in ((1, 0), (4, half))]
    mask = torch.zeros(1, 8 * ROWS, 8 * COLUMNS)
    mask[:, :, : 4 * COLUMNS] = 1
    models = {"plain": stage.model, "everywhere": stage.steer(stage.model), "left": stage.steer(stage.model, mask=mask)}
    twice = stage.steer(models["left"], 0.5, mask=1 - mask)
    found = {name: sample(model, 1.0, positive=halves) for name, model in models.items()}
    other = sample(stage.steer(stage.model, 0.5), 1.0, positive=halves)
    both = sample(twice, 1.0, positive=halves)
    return {
        "left is that of everywhere": apart(found["left"][..., :half], found["everywhere"][..., :half]),
        "right is the plain one": apart(found["left"][..., half:], found["plain"][..., half:]),
        "effect on the right": apart(found["everywhere"][..., half:], found["plain"][..., half:]),
        "two adapters, left": apart(both[..., :half], found["everywhere"][..., :half]),
        "two adapters, right": apart(both[..., half:], other[..., half:]),
    }


def second_pass(stage: Stage) -> dict:
    """As for a high resolution: the result enlarged and sampled again with the same model, hence the same mask."""

    def passes(model) -> torch.Tensor:
        large = torch.nn.functional.interpolate(sample(model), size=(12, 20))
        return sample(model, latent=large, denoise=0.6)

    white, half = torch.ones(1, 64, 96), torch.ones(1, 64, 96)
    half[:, :, 48:] = 0
    everywhere = passes(stage.steer(stage.model))
    return {
        "white mask": apart(passes(stage.steer(stage.model, mask=white)), everywhere),
        "half mask": apart(passes(stage.steer(stage.model, mask=half)), everywhere),
        "effect": apart(everywhere, passes(stage.model)),
    }


def sampler(stage: Stage, name: str) -> dict:
    model = stage.steer(stage.model)
    steered, plain = sample(model, name=name), sample(stage.model, name=name)
    nothing = sample(stage.steer(stage.model, mask=torch.zeros(1, 8, 8)), name=name)
    return {
        "finite": bool(torch.isfinite(steered).all()),
        "effect": apart(steered, plain),
        "same again": apart(steered, sample(model, name=name)),
        "empty mask": apart(nothing, plain),
    }


def data_type(stage: Stage, checkpoint: str, name: str) -> dict:
    """One prediction of a UNet that computes in a narrow type, as --bf16-unet has it on a GPU, beside float32's."""
    dtype = getattr(torch, name)
    path = folder_paths.get_full_path("checkpoints", checkpoint)
    options = {"dtype": dtype, "custom_operations": comfy.ops.disable_weight_init}
    narrow = comfy.sd.load_checkpoint_guess_config(path, output_vae=False, output_clip=False, model_options=options)[0]
    narrow.model.manual_cast_dtype = None  # on a CPU ComfyUI would compute in float32
    seen = []
    term = ip_adapter.ip_attention.Influence.term

    def spy(self, index, query, *arguments):
        seen.append(str(query.dtype))
        return term(self, index, query, *arguments)

    ip_adapter.ip_attention.Influence.term = spy
    try:
        plain = [predict(model) for model in (stage.model, narrow)]
        steered = [predict(stage.steer(model)) for model in (stage.model, narrow)]
    finally:
        ip_adapter.ip_attention.Influence.term = term
    exact, rounded = (one - other for one, other in zip(steered, plain, strict=True))
    return {
        "queries": sorted(set(seen)),
        "finite": bool(torch.isfinite(rounded).all()),
        "error of the effect": float((rounded - exact).norm() / exact.norm()),
        "error of the plain one": float((plain[1] - plain[0]).norm() / exact.norm()),
    }


def predict(model) -> torch.Tensor:
    management.load_models_gpu([model])
    options = model.model_options["transformer_options"] | {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([1.5])}
    noise = torch.randn(2, 4, ROWS, COLUMNS, generator=torch.Generator().manual_seed(6))
    context = torch.cat([words(2), words(1)])
    more = {"c_concat": torch.zeros(2, 5, ROWS, COLUMNS), "c_crossattn": context, "transformer_options": options}
    return model.model.apply_model(noise, torch.tensor([1.5, 1.5]), **more).float()


def on_meta(stage: Stage, case: str) -> str:
    """What is said when the UNet runs on tensors that have no values, as those on a GPU have none before a wait.

    Anything that would have to wait for one (item, bool, cpu, a comparison in an if) raises there.
    """
    masks = {"masked": torch.ones(1, 64, 96)}
    model = stage.steer(stage.model, start_percent=0.1, end_percent=0.8, mask=masks.get(case))
    config = {**stage.model.model.model_config.unet_config, "dtype": torch.float32, "device": "meta"}
    config.pop("disable_unet_model_creation", None)
    with torch.device("meta"):
        unet = UNetModel(**config, operations=comfy.ops.disable_weight_init)
        noise, times, context = torch.zeros(2, 9, ROWS, COLUMNS), torch.ones(2), torch.zeros(2, 77, 768)
        sigmas = torch.ones(1)
    options = {**model.model_options["transformer_options"], "cond_or_uncond": [1, 0], "sigmas": sigmas}
    if case == "spy":  # the check itself: one careless line is enough
        options["patches_replace"] = {"attn2": dict.fromkeys(options["patches_replace"]["attn2"], careless)}
    modules = (comfy.ldm.modules.attention, ip_adapter_patch)
    chosen = modules[0].optimized_attention
    for module in modules:  # the one chosen for a CPU asks how much memory is free on the tensors' device
        module.optimized_attention = comfy.ldm.modules.attention.attention_pytorch
    try:
        out = unet(noise, times, context, transformer_options=options)
    except (RuntimeError, NotImplementedError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        for module in modules:
            module.optimized_attention = chosen
    return f"{out.device} {list(out.shape)}"


def careless(query, key, value, extra_options) -> torch.Tensor:
    return query if float(extra_options["sigmas"].cpu()) > 1 else query
