"""diffusers' StableDiffusionInpaintPipeline on a ComfyUI checkpoint, made to start from ComfyUI's noise and schedule.

The pipeline, its networks and the update formulas of its schedulers are diffusers' own. Only the conventions are
bound: sigmas and timesteps, the start latent (noise plus the scaled photo, which ComfyUI keeps even at full
denoise) and the blend with the photo outside the noise mask, which diffusers lacks for 9-channel models.
"""

import json
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderTiny,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    StableDiffusionInpaintPipeline,
)
from imageine.runner.demo.layouts import CHANNELS, CLIP_LAYERS, CONTEXT, UNETS
from safetensors.torch import load_file

SCALE = 0.18215


class ComfyConventions:
    """A mixin for diffusers' schedulers; call ``bind`` before the pipeline runs."""

    def bind(self, sigmas, timesteps, noise, photo, mask):
        """``sigmas`` [steps+1], ``timesteps`` [steps]; ``noise``, ``photo`` scaled latents; ``mask`` [1,1,h,w]."""
        self._schedule, self._blend = (sigmas, timesteps), (noise, photo, mask)
        return self

    def set_timesteps(self, num_inference_steps=None, device=None, **unused):
        super().set_timesteps(num_inference_steps, device=device)  # its own state; the values are replaced
        self.sigmas, self.timesteps = (values.clone() for values in self._schedule)
        self.num_inference_steps = len(self.timesteps)
        self.set_begin_index(0)

    def add_photo(self, sample, sigma):
        """``sample`` in x0 + sigma * noise form, replaced by the noised photo where the mask is 0."""
        noise, photo, mask = self._blend
        return sample * mask + (photo + noise * sigma) * (1 - mask)

    def scale_model_input(self, sample, timestep=None):
        if self.step_index is None:
            self._init_step_index(timestep)
        sigma = self.sigmas[self.step_index]
        self.is_scale_input_called = True
        return self.add_photo(sample / self.unit(sigma), sigma) / (1 + sigma**2) ** 0.5

    def step(self, model_output, timestep, sample, **options):
        _, photo, mask = self._blend
        sigma = self.sigmas[self.step_index]
        plain = sample / self.unit(sigma)
        clean = self.add_photo(plain, sigma) - sigma * model_output
        clean = clean * mask + photo * (1 - mask)
        return super().step((plain - clean) / sigma, timestep, sample, **options)


class ComfyDpm(ComfyConventions, DPMSolverMultistepScheduler):
    """DPM++ 2M. Its samples are the plain ones times ``unit``: variance preserving."""

    def unit(self, sigma):
        return 1 / (1 + sigma**2) ** 0.5


class ComfyEuler(ComfyConventions, EulerDiscreteScheduler):
    init_noise_sigma = 1.0

    def unit(self, sigma):
        return 1.0


SCHEDULERS = {"dpmpp_2m": ComfyDpm, "euler": ComfyEuler}


def build(checkpoint: Path, variant: str, comfyui: Path, folder: Path) -> StableDiffusionInpaintPipeline:
    """The pipeline with the checkpoint's weights in float32. ``folder`` gets the configuration files."""
    _write_configurations(folder, variant, comfyui)
    pipeline = StableDiffusionInpaintPipeline.from_single_file(
        str(checkpoint),
        config=str(folder),
        local_files_only=True,
        torch_dtype=torch.float32,
        vae=tiny_autoencoder(checkpoint),
        safety_checker=None,
    )
    pipeline.tokenizer.model_max_length = 77  # ComfyUI's copy of the tokenizer says 8192
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_autoencoder(checkpoint: Path) -> AutoencoderTiny:
    """The checkpoint's TAESD in diffusers' own class."""
    weights = {}
    for name, tensor in load_file(checkpoint).items():
        if name.startswith("first_stage_model.taesd_encoder."):
            weights[f"encoder.layers.{name.split('.', 2)[2]}"] = tensor.float()
        elif name.startswith("first_stage_model.taesd_decoder."):
            place, rest = name.split(".", 2)[2].split(".", 1)
            weights[f"decoder.layers.{int(place) - 1}.{rest}"] = tensor.float()
    model = AutoencoderTiny(scaling_factor=SCALE)
    model.load_state_dict(weights)
    return model.eval()


def sample(pipeline: StableDiffusionInpaintPipeline, given: dict, pixels, mask, job: dict, **options) -> torch.Tensor:
    """Scaled latents for ``job``, from the noise and schedule in ``given`` (see inside/simple_edit_latents.py).

    ``options`` are more arguments of the pipeline's call.
    """
    scheduler = SCHEDULERS[job["sampler"]].from_config(pipeline.scheduler.config)
    small = torch.nn.functional.interpolate(mask[:, None], size=given["noise"].shape[-2:], mode="bilinear")
    photo = given["start"] * SCALE
    first = given["sigmas"][0]
    pipeline.scheduler = scheduler.bind(given["sigmas"], given["timesteps"], given["noise"], photo, small)
    start = (given["noise"] * (1 + first**2) ** 0.5 + photo) * scheduler.unit(first)
    with torch.inference_mode():
        return pipeline(
            prompt=job["positive"],
            negative_prompt=job["negative"],
            image=pixels.movedim(-1, 1),
            mask_image=mask[:, None],
            height=pixels.shape[1],
            width=pixels.shape[2],
            num_inference_steps=job["steps"],
            guidance_scale=job["guidance"],
            latents=start,
            output_type="latent",
            **options,
        ).images


def _write_configurations(folder: Path, variant: str, comfyui: Path) -> None:
    contents = {
        "model_index.json": _PIPELINE,
        "unet/config.json": _unet(variant),
        "text_encoder/config.json": _TEXT_ENCODER,
        "scheduler/scheduler_config.json": _SCHEDULER,
    }
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    shutil.copytree(comfyui / "comfy" / "sd1_tokenizer", folder / "tokenizer", dirs_exist_ok=True)


def _unet(variant: str) -> dict:
    shape = UNETS[variant]
    return {
        "_class_name": "UNet2DConditionModel",
        "sample_size": 64,
        "in_channels": 9,
        "out_channels": 4,
        "attention_head_dim": 8,
        "block_out_channels": [CHANNELS * multiplier for multiplier in shape.multipliers],
        "cross_attention_dim": CONTEXT,
        "down_block_types": ["CrossAttnDownBlock2D" if it else "DownBlock2D" for it in shape.attention],
        "up_block_types": ["CrossAttnUpBlock2D" if it else "UpBlock2D" for it in shape.attention[::-1]],
        "layers_per_block": shape.blocks,
    }


_PIPELINE = {
    "_class_name": "StableDiffusionInpaintPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "EulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderTiny"],
}
_TEXT_ENCODER = {
    "architectures": ["CLIPTextModel"],
    "model_type": "clip_text_model",
    "bos_token_id": 49406,
    "eos_token_id": 49407,
    "pad_token_id": 1,
    "hidden_act": "quick_gelu",
    "hidden_size": CONTEXT,
    "intermediate_size": 4 * CONTEXT,
    "max_position_embeddings": 77,
    "num_attention_heads": 12,
    "num_hidden_layers": CLIP_LAYERS,
    "projection_dim": CONTEXT,
    "vocab_size": 49408,
}
_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "steps_offset": 1,
}
