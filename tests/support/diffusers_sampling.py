"""diffusers' latents for the jobs of ``sampling_cases``: one set of models for all of them."""

from pathlib import Path

import torch
from diffusers import EulerDiscreteScheduler
from imageine.runner.demo import seeded
from imageine.runner.engines.embedded import checkpoints, sampling
from support import (
    diffusers_controls,
    diffusers_oracle,
    diffusers_references,
    sampling_cases,
    seeded_controlnet,
    seeded_ip_adapter,
    seeded_lora,
)


class Oracle:
    """diffusers' pipelines on the files of a ``sampling_cases.models_folder``."""

    def __init__(self, models: Path):
        self.parts = checkpoints.load_checkpoint(models / seeded.CHECKPOINT, torch.float32)
        scheduler = EulerDiscreteScheduler.from_config(checkpoints.SCHEDULER)
        self.pipeline = sampling.build_pipeline(self.parts, scheduler)
        self.pipeline.register_modules(image_encoder=diffusers_references.image_encoder())
        files = {"pose": seeded_controlnet.POSE, "depth": seeded_controlnet.DEPTH}
        self.nets = {
            kind: checkpoints.load_control_net(models / "controlnet" / name, torch.float32)
            for kind, name in files.items()
        }
        channels = seeded_ip_adapter.widths("lite")
        self.adapters = {kind: seeded_ip_adapter.nested(channels, kind) for kind in sampling_cases.ADAPTERS}
        self._loaded: list[str] = []
        self._lora = Lora(self.pipeline)
        self._texts: dict[tuple, torch.Tensor] = {}

    def sample(self, given: dict, pictures: dict, job: dict) -> torch.Tensor:
        """Scaled latents; ``given`` is what ComfyUI sampled from (see inside/sampling_latents.py)."""
        self.set_lora(job["lora"])
        kinds = [one["model"].partition(".")[0] for one in job["adapters"]]
        if kinds != self._loaded:
            diffusers_references.load(self.pipeline, [self.adapters[kind] for kind in kinds])
            self._loaded = kinds
        pipeline, options = self.pipeline, {}
        if controls := diffusers_controls.kinds_on(job):
            nets = [self.nets[kind] for kind in controls]
            pipeline = sampling.build_pipeline(self.parts, pipeline.scheduler, nets)
            pipeline.register_modules(image_encoder=self.pipeline.image_encoder)
            options |= diffusers_controls.options(job, {kind: pictures[f"{kind}_map"] for kind in controls})
        if kinds:
            options |= diffusers_references.options(pipeline, given, job, pictures["region"])
        sides = {"prompt_embeds": job["positive"], "negative_prompt_embeds": job["negative"]}
        texts = {side: self.encode(text).repeat(job["frames"], 1, 1) for side, text in sides.items()}
        return diffusers_oracle.sample(pipeline, texts, given, pictures, job, **options)

    def set_lora(self, strength: float) -> None:
        self._lora.set_strength(strength)

    @torch.inference_mode()
    def encode(self, text: str) -> torch.Tensor:
        """[1,77,768], under the LoRA of the last job."""
        key = (text, self._lora.strength)
        if key not in self._texts:
            self._texts[key] = self.pipeline.encode_prompt(text, "cpu", 1, False)[0]
        return self._texts[key]


class Lora:
    """``seeded_lora`` merged into a pipeline's weights, by the formula alone: no adapter library is asked.

    ComfyUI keeps the text encoder in float16 on a CPU and merges in that type, so its weights are rounded alike.
    """

    def __init__(self, pipeline):
        changes = seeded_lora.changes()
        text = (pipeline.text_encoder, torch.float16)
        parts = {"lora_unet_": (pipeline.unet, torch.float32), "lora_te_text_model_": text}
        self._layers = []
        for prefix, (network, dtype) in parts.items():
            for name, module in network.named_modules():
                key = prefix + name.removeprefix("text_model.").replace(".", "_")
                if key in changes:
                    self._layers.append((module, module.weight.detach().clone(), changes.pop(key), dtype))
        assert not changes, f"diffusers has no layer for {list(changes)[:3]}"
        self.strength = 0.0

    @torch.no_grad()
    def set_strength(self, strength: float) -> None:
        if strength == self.strength:
            return
        for module, weight, change, dtype in self._layers:
            module.weight.copy_((weight + strength * change).to(dtype) if strength else weight)
        self.strength = strength
