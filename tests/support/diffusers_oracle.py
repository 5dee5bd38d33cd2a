"""diffusers' StableDiffusionInpaintPipeline on a ComfyUI checkpoint, made to start from ComfyUI's noise and schedule.

The pipeline, its networks and the update formulas of its schedulers are diffusers' own. Only the conventions are
bound: sigmas and timesteps, the start latent (noise plus the scaled photo, which ComfyUI keeps even at full
denoise) and the blend with the photo outside the noise mask, which diffusers lacks for 9-channel models.
"""

import torch
from imageine.runner.engines.embedded import checkpoints, sampling

SCALE = checkpoints.LATENT_SCALE


def sample(pipeline, texts: dict, given: dict, pictures: dict, job: dict, **options) -> torch.Tensor:
    """Scaled latents for ``job``, from the noise and schedule in ``given`` (see inside/sampling_latents.py).

    ``texts`` are the encoded prompts, ``options`` more arguments of the pipeline's call.
    """
    scheduler = sampling.schedulers()[job["sampler"]].from_config(pipeline.scheduler.config)
    pixels, mask = pictures["pixels"][: job["frames"]], pictures["mask"]
    small = torch.nn.functional.interpolate(mask[:, None], size=given["noise"].shape[-2:], mode="bilinear")
    photo = given["start"] * SCALE
    first = given["sigmas"][0]
    pipeline.scheduler = scheduler.bind(given["sigmas"], given["timesteps"], given["noise"], photo, small)
    start = (given["noise"] * (1 + first**2) ** 0.5 + photo) * scheduler.unit(first)
    with torch.inference_mode():
        return pipeline(
            **texts,
            image=pixels.movedim(-1, 1),
            mask_image=mask[:, None].repeat(len(pixels), 1, 1, 1),
            height=pixels.shape[1],
            width=pixels.shape[2],
            num_inference_steps=job["steps"],
            guidance_scale=job["guidance"],
            latents=start,
            output_type="latent",
            **options,
        ).images
