"""The IP-Adapter nodes inside ComfyUI: the executor's cache, chains, memory, files and what is refused."""

import asyncio
import gc
import json
import weakref
from types import SimpleNamespace

import comfy.clip_vision
import comfy.model_management as management
import execution
import folder_paths
import torch
from imageine.nodes import folders, ip_adapter
from safetensors.torch import load_file

import nodes

RAN: list[str] = []
SEEN: list[dict] = []
NODES = (ip_adapter.LoadIPAdapter, ip_adapter.EncodeReference, ip_adapter.ApplyIPAdapter)


def stub(name: str, kind: str, value) -> type:
    """A node without inputs that gives ``value`` and remembers that it ran."""

    def run(self):
        RAN.append(name)
        return (value,)

    inputs = classmethod(lambda cls: {"required": {}})
    return type(name, (), {"INPUT_TYPES": inputs, "RETURN_TYPES": (kind,), "FUNCTION": "run", "run": run})


class Sink:
    """An output node that counts what the model that arrives is patched with."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"model": ("MODEL",)}}

    def run(self, model):
        SEEN.append(patches(model))
        return ()


def patches(model) -> dict:
    """How many cross-attentions are replaced, and the weights that each one adds up."""
    found = model.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
    weights = sorted({tuple(influence.strengths[0] for influence, _ in one.influences) for one in found.values()})
    return {"attentions": len(found), "weights": weights}


def main(checkpoint: str, vision: str, configuration: str, other_configuration: str, extra: str) -> dict:
    """``configuration`` of the right image encoder, JSON, and of a wider one; ``extra`` is a folder with adapters."""
    torch.set_num_threads(1)
    before = folder_paths.folder_names_and_paths.get(folders.IP_ADAPTER)
    folder_paths.add_model_folder_path(folders.IP_ADAPTER, extra)
    folders.register()
    for one in NODES:
        nodes.NODE_CLASS_MAPPINGS[one.define_schema().node_id] = one
    encoder = comfy.clip_vision.ClipVisionModel(json.loads(configuration))
    encoder.load_sd(load_file(vision))
    other = comfy.clip_vision.ClipVisionModel(json.loads(other_configuration))
    with torch.inference_mode():
        model, clip, _ = nodes.CheckpointLoaderSimple().load_checkpoint(checkpoint)
        report = {"listed": folders.list_files(folders.IP_ADAPTER), "known before": before is not None}
        report["cache"] = cache(model, encoder)
        report["refused"] = refused(model, encoder, other)
        report["accepted"] = accepted(model, encoder)
        report["memory"] = memory(model, clip, encoder)
    gc.collect()
    management.cleanup_models()
    report["memory"]["alive"] = report["memory"].pop("reference")() is not None
    return report


def load(name: str = "standard.safetensors"):
    return ip_adapter.LoadIPAdapter.execute(name)[0]


def picture(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def apply(model, adapter, encoder, image=None, weight=1.0, **inputs):
    image = picture(1, 64, 48, 3) if image is None else image
    return ip_adapter.ApplyIPAdapter.execute(model, weight, adapter, image, encoder, **inputs)[0]


def cache(model, encoder) -> dict:
    """One executor, as a server has, runs a chain of two nodes again and again while one weight changes."""
    nodes.NODE_CLASS_MAPPINGS |= {
        "StubModel": stub("model", "MODEL", model),
        "StubVision": stub("vision", "CLIP_VISION", encoder),
        "StubImage": stub("image", "IMAGE", picture(1, 64, 48, 3)),
        "Sink": Sink,
    }
    server = SimpleNamespace(client_id=None, last_node_id=None, send_sync=lambda *args: None)
    executor = execution.PromptExecutor(server, execution.CacheType.CLASSIC, {"ram": 0, "ram_inactive": 0, "lru": 0})
    for first, second in ((1.0, 2.0), (1.0, 3.0), (1.0, 4.0), (0.5, 4.0), (0.5, 0.0), (0.0, 0.0), (1.0, 2.0)):
        run(executor, chain(first, second))
    return {"seen": list(SEEN), "ran": [list(RAN[:3]), len(RAN)], "original": patches(model)}


def chain(first: float, second: float) -> dict:
    defaults = {
        "weight_type": "linear",
        "combine": "concat",
        "start_percent": 0.0,
        "end_percent": 1.0,
        "crop": "center",
    }
    sockets = {"ip_adapter": ["adapter", 0], "image": ["image", 0], "clip_vision": ["vision", 0]}
    kind = "ImageineApplyIPAdapter"
    return {
        "model": {"class_type": "StubModel", "inputs": {}},
        "vision": {"class_type": "StubVision", "inputs": {}},
        "image": {"class_type": "StubImage", "inputs": {}},
        "adapter": {"class_type": "ImageineLoadIPAdapter", "inputs": {"model": "standard.safetensors"}},
        "one": {"class_type": kind, "inputs": defaults | sockets | {"model": ["model", 0], "weight": first}},
        "two": {"class_type": kind, "inputs": defaults | sockets | {"model": ["one", 0], "weight": second}},
        "sink": {"class_type": "Sink", "inputs": {"model": ["two", 0]}},
    }


def run(executor, prompt: dict) -> None:
    valid, error, outputs, problems = asyncio.run(execution.validate_prompt("one", prompt, None))
    assert valid, (error, problems)
    executor.execute(prompt, "one", {}, outputs)
    failures = [data for event, data in executor.status_messages if event == "execution_error"]
    assert not failures, failures


def refused(model, encoder, other) -> dict:
    """What is said to every wrong input."""
    standard, plus = load(), load("plus.safetensors")
    cases = {
        "no reference": lambda: ip_adapter.ApplyIPAdapter.execute(model, 1.0, standard, None, encoder),
        "no encoder": lambda: apply(model, standard, None),
        "wrong encoder": lambda: apply(model, standard, other),
        "wrong encoder, plus": lambda: apply(model, plus, other),
        "other base": lambda: apply(model, load("sdxl.safetensors"), encoder),
        "start after end": lambda: apply(model, standard, encoder, start_percent=0.6, end_percent=0.4),
        "embeds of another kind": lambda: ip_adapter.ApplyIPAdapter.execute(
            model, 1.0, plus, embeds=ip_adapter.EncodeReference.execute(standard, encoder, picture(1, 9, 9, 3), 1.0)[0]
        ),
        "blocks that are not there": lambda: apply(model, standard, encoder, weight_type="style"),
        "not an adapter": lambda: load("something else.safetensors"),
        "face id": lambda: load("faceid.safetensors"),
        "no such file": lambda: load("../standard.safetensors"),
    }
    said = {}
    for name, case in cases.items():
        try:
            case()
        except ValueError as error:
            said[name] = str(error)
    said["validation"] = ip_adapter.ApplyIPAdapter.validate_inputs(start_percent=0.5, end_percent=0.5)
    return said


def accepted(model, encoder) -> dict:
    """References and masks of any size, batches that differ, chains of embeds; what the sampler makes of them."""
    adapter = load("plus.bin")
    first = ip_adapter.EncodeReference.execute(adapter, encoder, picture(1, 1, 1, 3), 0.5)[0]
    embeds = ip_adapter.EncodeReference.execute(adapter, encoder, picture(2, 30, 90, 4), 1.0, first)[0]
    cases = {
        "tiny": {"image": picture(1, 1, 1, 3)},
        "huge": {"image": picture(1, 4320, 7680, 3)},
        "rgba": {"image": picture(1, 64, 64, 4)},
        "many": {"image": picture(5, 20, 30, 3), "mask": picture(3, 50, 70), "combine": "average"},
        "negative": {"negative_image": picture(2, 40, 40, 3), "end_percent": 0.8},
        "embeds": {"embeds": embeds, "combine": "weighted average", "mask": picture(1, 8, 8), "weight_type": "ease in"},
        "ease out": {"weight_type": "ease out", "crop": "none"},
    }
    plain = sample(model, 2)
    changed = {}
    for name, inputs in cases.items():
        result = sample(apply(model, adapter, encoder, **inputs), 2)
        changed[name] = [bool(torch.isfinite(result).all()), float((result - plain).abs().max())]
    masked = apply(model, adapter, encoder, mask=torch.zeros(1, 64, 64))
    same = ip_adapter.ApplyIPAdapter.execute(model, 0.0)[0] is model
    return {
        "changed": changed,
        "references": len(embeds.items),
        "zero weight is the model": same,
        "empty mask": float((sample(masked, 2) - plain).abs().max()),
        "guidance 1": float((sample(apply(model, adapter, encoder), 1, 1.0) - sample(model, 1, 1.0)).abs().max()),
        "two regions": regional(model, adapter, encoder),
        "lazy": [
            ip_adapter.ApplyIPAdapter.check_lazy_status(weight=weight, ip_adapter=None, image=None, model=model)
            for weight in (0.0, 1.0)
        ],
    }


def sample(model, batch: int, guidance: float = 5.0, positive=None) -> torch.Tensor:
    text = torch.rand(1, 77, 768, generator=torch.Generator().manual_seed(1))
    mask, latent = torch.ones(1, 1, 64, 96), torch.zeros(batch, 4, 8, 12)
    extra = {"concat_latent_image": latent[:1], "concat_mask": mask}
    positive = positive or [[text, dict(extra)]]
    negative = [[text.flip(1), dict(extra)]]
    settings = (3, 2, guidance, "euler", "normal")
    return nodes.KSampler().sample(model, *settings, positive, negative, {"samples": latent}, 1.0)[0]["samples"]


def regional(model, adapter, encoder) -> list:
    """Two prompts, one of them in a region, in batches and one by one (uncond first in some, last in others)."""
    text = torch.rand(1, 77, 768, generator=torch.Generator().manual_seed(2))
    extra = {"concat_latent_image": torch.zeros(1, 4, 8, 12), "concat_mask": torch.ones(1, 1, 64, 96)}
    region = torch.zeros(1, 64, 96)
    region[:, :, :48] = 1
    there = {"mask": region, "set_area_to_bounds": False, "mask_strength": 1.0}
    positive = [[text, dict(extra)], [text.flip(2), extra | there]]
    steered = apply(model, adapter, encoder)
    together = sample(steered, 2, positive=positive)
    required = type(model.model).memory_required
    type(model.model).memory_required = lambda *args, **options: 1e30  # then every conditioning is run by itself
    try:
        alone = sample(steered, 2, positive=positive)
    finally:
        type(model.model).memory_required = required
    return [float((together - alone).abs().max()), float((together - sample(model, 2, positive=positive)).abs().max())]


def memory(model, clip, encoder) -> dict:
    adapter = load()
    steered = apply(model, adapter, encoder)
    patcher = adapter.managed.patcher
    management.unload_all_models()
    asked = steered.model_patches_models()
    first = sample(steered, 1)
    loaded = any(one.model is patcher for one in management.current_loaded_models)
    used = patcher.loaded_size()
    management.unload_all_models()
    report = {
        "asked": len(asked) == 4 and all(one is patcher for one in asked),
        "loaded with the model": loaded,
        "used": used >= sum(one.numel() * one.element_size() for one in adapter.network.parameters()),
        "listed after unload": any(one.model is patcher for one in management.current_loaded_models),
        "used after unload": patcher.loaded_size(),
        "same after unload": bool(torch.equal(first, sample(steered, 1))),
        "reference": weakref.ref(adapter.network),
    }
    management.unload_all_models()
    return report
