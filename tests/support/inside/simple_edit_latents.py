"""The sampling half of Simple Edit, done by ComfyUI's own nodes in the order of the workflow's graph."""

import json

import torch
from safetensors.torch import load_file, save_file

import nodes


def main(checkpoint: str, crop: str, jobs: str) -> None:
    """Sample every job; ``crop`` is a file with pixels [1,H,W,3] and mask [1,H,W], ``jobs`` JSON.

    A job has positive, negative, seed, steps, guidance, sampler, scheduler and output, the file that gets the
    latents, what they were made of, and the schedule. Latents are as on LATENT sockets, unscaled.
    """
    torch.set_num_threads(1)
    images = load_file(crop)
    models = nodes.CheckpointLoaderSimple().load_checkpoint(checkpoint)
    with torch.inference_mode():
        for job in json.loads(jobs):
            save_file(sample(*models, images, job), job["output"])


def sample(model, clip, vae, images: dict, job: dict, change=lambda *texts: texts) -> dict[str, torch.Tensor]:
    """``change`` gets the two text conditionings and returns those to sample with."""
    import comfy.sample
    import comfy.samplers

    texts = [nodes.CLIPTextEncode().encode(clip, job[name])[0] for name in ("positive", "negative")]
    positive, negative, latent = nodes.InpaintModelConditioning().encode(
        *change(*texts), images["pixels"], vae, images["mask"]
    )
    settings = (job[name] for name in ("seed", "steps", "guidance", "sampler", "scheduler"))
    sampled = nodes.KSampler().sample(model, *settings, positive, negative, latent, 1.0)[0]["samples"]
    sampling = model.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(sampling, job["scheduler"], job["steps"])
    results = {
        "latents": sampled,
        "noise": comfy.sample.prepare_noise(latent["samples"], job["seed"]),
        "start": latent["samples"],
        "positive": texts[0][0][0],
        "sigmas": sigmas,
        "timesteps": sampling.timestep(sigmas[:-1]),
    }
    return {name: tensor.float().contiguous().clone() for name, tensor in results.items()}
