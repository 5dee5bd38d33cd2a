"""Sampling by diffusers' pipelines with ComfyUI's conventions, so that the same seed gives the same picture there.

The pipelines, the networks and the update formulas of the schedulers are diffusers' own. ComfyUI's are: the noise (of
a seed, drawn on the CPU), the schedule of sigmas, each with the nearest of the 1000 trained timesteps, a start that
keeps the photo under the noise even at full denoise, and the photo put back outside the mask at every step, which
diffusers does not do for 9-channel models.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .checkpoints import SCHEDULER, Checkpoint
from .quiet import quiet

if TYPE_CHECKING:
    import torch

    from .memory import Memory
    from .references import Influence

SAMPLERS = ("dpmpp_2m", "euler")
SCHEDULES = ("karras", "normal")
_RHO = 7.0  # of Karras et al. 2022, equation 5


@dataclass(frozen=True)
class Control:
    """A ControlNet at work: its map ``[N,H,W,3]`` in 0..1, and when it acts, in shares of the steps."""

    net: Any
    map: "torch.Tensor"
    strength: float
    start: float
    end: float


@dataclass(frozen=True)
class Conditioning:
    """A prompt, ``[1,77,768]``, with the controls chained to it and, once it is there, the picture to paint in."""

    embeds: "torch.Tensor"
    controls: tuple[Control, ...] = ()
    pixels: "torch.Tensor | None" = None
    mask: "torch.Tensor | None" = None

    def controlled(self, control: Control) -> "Conditioning":
        return replace(self, controls=(*self.controls, control))


@dataclass(frozen=True)
class Settings:
    """What KSampler is given. ``denoise`` below 1 leaves out the first, noisiest part of the schedule."""

    seed: int
    steps: int
    guidance: float
    sampler: str
    schedule: str
    denoise: float = 1.0


def sample(
    checkpoint: Checkpoint,
    positive: Conditioning,
    negative: Conditioning,
    influences: "tuple[Influence, ...]",
    settings: Settings,
    memory: "Memory",
    on_step: Callable[[int, int], None],
) -> "torch.Tensor":
    """Scaled latents ``[N,4,h,w]`` of the picture that ``positive`` holds, painted anew inside its mask.

    ``on_step(step, steps)`` is called after every step; what it raises ends the sampling.
    """
    import torch

    device, dtype = memory.device, checkpoint.unet.dtype
    pixels, mask = positive.pixels, positive.mask
    photo = encode_photo(checkpoint, pixels, memory)
    if settings.denoise <= 0:
        return photo
    with torch.no_grad():
        noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(settings.seed)).to(device, dtype)
        sigmas, timesteps = schedule(settings)
        small = torch.nn.functional.interpolate(mask[:, None].float(), size=photo.shape[-2:], mode="bilinear")
        scheduler = schedulers()[settings.sampler].from_config(SCHEDULER)
        scheduler.bind(sigmas, timesteps, noise, photo, small.to(device, dtype))
        first = sigmas[0]
        grown = (1 + first**2) ** 0.5 if settings.denoise >= 1 else first
    pipeline = build_pipeline(checkpoint, scheduler, [control.net for control in positive.controls])
    _load_adapters(pipeline, influences)
    steps = len(timesteps)
    with memory.running(pipeline, pixels[..., 0].numel()), torch.no_grad():
        return pipeline(
            **_prompts(positive, negative, len(pixels)),
            image=pixels.movedim(-1, 1),
            mask_image=mask[:, None],
            height=pixels.shape[1],
            width=pixels.shape[2],
            num_inference_steps=steps,
            guidance_scale=settings.guidance,
            latents=(noise * grown + photo) * scheduler.unit(first),
            output_type="latent",
            callback_on_step_end=_callback(influences, steps, on_step),
            **_control_options(positive.controls),
            **_reference_options(pipeline, influences, settings),
        ).images


def encode_photo(checkpoint: Checkpoint, pixels: "torch.Tensor", memory: "Memory") -> "torch.Tensor":
    """``[N,H,W,3]`` in 0..1 -> the mean of their latents, scaled."""
    import torch

    vae = checkpoint.vae
    with memory.holding(vae), torch.no_grad():
        encoded = vae.encode(2 * pixels.movedim(-1, 1).to(memory.device, vae.dtype) - 1)
        latents = encoded.latents if hasattr(encoded, "latents") else encoded.latent_dist.mode()
        return latents * vae.config.scaling_factor


def decode(checkpoint: Checkpoint, latents: "torch.Tensor", memory: "Memory") -> "torch.Tensor":
    """Scaled latents -> ``[N,H,W,3]`` in 0..1, float32 on the CPU."""
    import torch

    vae = checkpoint.vae
    with memory.holding(vae), torch.no_grad():
        pictures = vae.decode(latents.to(memory.device, vae.dtype) / vae.config.scaling_factor).sample
    return (pictures / 2 + 0.5).clamp(0, 1).movedim(1, -1).float().cpu()


def schedule(settings: Settings) -> "tuple[torch.Tensor, torch.Tensor]":
    """(sigmas [steps+1], timesteps [steps]), float32."""
    import torch

    trained = _trained_sigmas()
    total = settings.steps if settings.denoise >= 1 else int(settings.steps / max(settings.denoise, 1e-4))
    if settings.schedule == "karras":
        ends = trained[-1] ** (1 / _RHO), trained[0] ** (1 / _RHO)
        sigmas = (ends[0] + torch.linspace(0, 1, total) * (ends[1] - ends[0])) ** _RHO
    else:
        places = torch.linspace(len(trained) - 1, 0, total)
        low, high = places.floor().long(), places.ceil().long()
        sigmas = torch.lerp(trained[low].log(), trained[high].log(), places.frac()).exp()
    sigmas = torch.cat([sigmas, torch.zeros(1)])[-(settings.steps + 1) :]
    timesteps = (sigmas[:-1, None].log() - trained.log()).abs().argmin(1)
    return sigmas, timesteps.float()


@functools.cache
def _trained_sigmas() -> "torch.Tensor":
    """The noise levels of the 1000 timesteps, least first."""
    import torch

    ends = SCHEDULER["beta_start"] ** 0.5, SCHEDULER["beta_end"] ** 0.5
    betas = torch.linspace(*ends, SCHEDULER["num_train_timesteps"], dtype=torch.float64) ** 2
    kept = torch.cumprod(1 - betas, 0)
    return ((1 - kept) / kept).sqrt().float()


@functools.cache
def schedulers() -> dict[str, type]:
    """diffusers' schedulers with ComfyUI's conventions, by ComfyUI's name of the sampler."""
    from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler

    class Dpm(ComfyConventions, DPMSolverMultistepScheduler):
        """DPM++ 2M. Its samples are the plain ones times ``unit``: variance preserving."""

        def unit(self, sigma):
            return 1 / (1 + sigma**2) ** 0.5

    class Euler(ComfyConventions, EulerDiscreteScheduler):
        init_noise_sigma = 1.0

        def unit(self, sigma):
            return 1.0

    return dict(zip(SAMPLERS, (Dpm, Euler), strict=True))


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
        noised = photo + noise * sigma
        noised, mask = (_repeated(batch, len(sample)) for batch in (noised, mask))  # two of each with guidance
        return sample * mask + noised * (1 - mask)

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


def _repeated(batch, count: int):
    """``batch`` as often as it takes to make ``count``."""
    return batch if len(batch) in (1, count) else batch.repeat(count // len(batch), 1, 1, 1)


def build_pipeline(checkpoint: Checkpoint, scheduler: Any, control_nets: Sequence[Any] = ()) -> Any:
    """diffusers' inpainting pipeline of these parts; making one costs nothing."""
    from diffusers import StableDiffusionControlNetInpaintPipeline, StableDiffusionInpaintPipeline

    parts = {
        "vae": checkpoint.vae,
        "text_encoder": checkpoint.text_encoder,
        "tokenizer": checkpoint.tokenizer,
        "unet": checkpoint.unet,
        "scheduler": scheduler,
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }
    if control_nets:
        controlnet = list(control_nets) if len(control_nets) > 1 else control_nets[0]
        pipeline = StableDiffusionControlNetInpaintPipeline(controlnet=controlnet, **parts)
    else:
        pipeline = StableDiffusionInpaintPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _load_adapters(pipeline, influences) -> None:
    """The adapters of ``influences``, and no others, in the UNet, which all pipelines share."""
    unet = pipeline.unet
    if getattr(unet, "encoder_hid_proj", None) is not None:
        pipeline.unload_ip_adapter()
    if influences:
        none = [""] * len(influences)
        states = [influence.adapter.state for influence in influences]
        with quiet():
            pipeline.load_ip_adapter(states, subfolder=none, weight_name=none, image_encoder_folder=None)
        pipeline.register_modules(image_encoder=influences[0].reference.encoder)


def _prompts(positive: Conditioning, negative: Conditioning, count: int) -> dict[str, Any]:
    sides = {"prompt_embeds": positive, "negative_prompt_embeds": negative}
    return {name: side.embeds.repeat(count, 1, 1) for name, side in sides.items()}


def _control_options(controls: tuple[Control, ...]) -> dict[str, Any]:
    columns = {
        "control_image": [control.map.movedim(-1, 1) for control in controls],
        "controlnet_conditioning_scale": [control.strength for control in controls],
        "control_guidance_start": [control.start for control in controls],
        "control_guidance_end": [control.end for control in controls],
    }
    if not controls:
        return {}
    return {name: column[0] if len(controls) == 1 else column for name, column in columns.items()}


def _reference_options(pipeline, influences, settings: Settings) -> dict[str, Any]:
    from .references import outputs

    if not influences:
        return {}
    pipeline.set_ip_adapter_scale(_scales(influences, 0, settings.steps))
    guided = settings.guidance > 1
    seen = [outputs(pipeline, one.adapter.layout, one.reference, guided) for one in influences]
    return {"ip_adapter_image_embeds": seen}


def _scales(influences, step: int, steps: int) -> list[float]:
    share = step / max(steps - 1, 1)
    return [one.weight if one.start <= share <= one.end else 0.0 for one in influences]


def _callback(influences, steps: int, on_step: Callable[[int, int], None]):
    def after(pipeline, step: int, timestep, tensors: dict) -> dict:
        if influences:
            pipeline.set_ip_adapter_scale(_scales(influences, step + 1, steps))
        on_step(step + 1, steps)
        return tensors

    return after
