"""The sampling half of Simple and Complex Edit, done by ComfyUI's own nodes and ours in the order of the graphs."""

import json
from pathlib import Path

import comfy.clip_model
import comfy.clip_vision
import comfy.sample
import comfy.samplers
import torch
from imageine.nodes import folders
from imageine.nodes.controls import ApplyControls
from imageine.nodes.ip_adapter import ApplyIPAdapter, LoadIPAdapter
from safetensors.torch import load_file, save_file

import nodes


class Studio:
    """What all jobs share: the models, loaded once, and the pictures (see support/sampling_cases.py)."""

    def __init__(self, files: dict, vision: dict, pictures: dict):
        folders.register()
        self.models = nodes.CheckpointLoaderSimple().load_checkpoint(files["checkpoint"])
        loader = nodes.ControlNetLoader()
        self.sockets = {name: loader.load_controlnet(files[name])[0] for name in files if name.endswith("control_net")}
        self.sockets |= {name: pictures[name] for name in ("pose_map", "depth_map")}
        self.adapters = {name: LoadIPAdapter.execute(name)[0] for name in files["adapters"]}
        self.encoder = comfy.clip_vision.ClipVisionModel(vision["configuration"])
        missing, _ = self.encoder.load_sd(load_file(vision["weights"]))
        assert not missing
        self.lora = files["lora"]
        self.pictures = pictures
        self.reference_pixels = comfy.clip_model.clip_preprocess(pictures["references"], 224)
        self._texts: dict[tuple, list] = {}

    def sample(self, job: dict) -> dict[str, torch.Tensor]:
        """The latents, unscaled as on LATENT sockets, what they were made of, and the schedule."""
        model, clip, vae = self.models
        if job["lora"]:
            model, clip = nodes.LoraLoader().load_lora(model, clip, self.lora, job["lora"], job["lora"])
        texts = [self._encode(clip, job[name], job["lora"]) for name in ("positive", "negative")]
        for settings in job["adapters"]:
            model = self._steer(model, dict(settings))
        steered = ApplyControls.execute(*texts, **self.sockets, **job["controls"]).args
        pixels = self.pictures["pixels"][: job["frames"]]
        conditioned = nodes.InpaintModelConditioning().encode(*steered, pixels, vae, self.pictures["mask"])
        settings = (job[name] for name in ("seed", "steps", "guidance", "sampler", "scheduler"))
        sampled = nodes.KSampler().sample(model, *settings, *conditioned, 1.0)[0]["samples"]
        sampling = model.get_model_object("model_sampling")
        sigmas = comfy.samplers.calculate_sigmas(sampling, job["scheduler"], job["steps"])
        start = conditioned[2]["samples"]
        results = {
            "latents": sampled,
            "noise": comfy.sample.prepare_noise(start, job["seed"]),
            "start": start,
            "positive": texts[0][0][0],
            "sigmas": sigmas,
            "timesteps": sampling.timestep(sigmas[:-1]),
            "reference_pixels": self.reference_pixels,
        }
        return {name: tensor.float().contiguous().clone() for name, tensor in results.items()}

    def _encode(self, clip, text: str, lora: float) -> list:
        key = (text, lora)
        if key not in self._texts:
            self._texts[key] = nodes.CLIPTextEncode().encode(clip, text)[0]
        return self._texts[key]

    def _steer(self, model, settings: dict):
        """``settings`` are ``sampling_cases.adapter``'s."""
        adapter = self.adapters[settings.pop("model")]
        image = self.pictures["references"][: settings.pop("images")]
        mask = self.pictures["region"] if settings.pop("masked") else None
        return ApplyIPAdapter.execute(
            model=model, ip_adapter=adapter, clip_vision=self.encoder, image=image, mask=mask, **settings
        )[0]


def main(files: str, vision: str, pictures: str, jobs: str) -> None:
    """Sample every job of ``jobs`` (a JSON file of ``sampling_cases`` jobs, each with "output", the file it fills).

    ``files`` is JSON: names of "checkpoint", "lora", "pose_control_net", "depth_control_net" and "adapters" in the
    models folders. ``vision`` is JSON: the file of "weights" of the image encoder, and its "configuration".
    """
    torch.set_num_threads(1)
    with torch.inference_mode():
        studio = Studio(json.loads(files), json.loads(vision), load_file(pictures))
        for job in json.loads(Path(jobs).read_text(encoding="utf-8")):
            save_file(studio.sample(job), job["output"])
