"""diffusers' StableDiffusionControlNetInpaintPipeline on ComfyUI's files: diffusers_oracle.py with ControlNets."""


def options(job: dict, maps: dict) -> dict:
    """What the pipeline's call needs for the controls that are on in ``job``; ``maps`` has a [1,H,W,3] for each kind.

    Start and end are fractions of the steps, where ComfyUI's are of the noise schedule.
    """
    settings = job["controls"]
    kinds = kinds_on(job)
    columns = {
        "control_image": [maps[kind].movedim(-1, 1) for kind in kinds],
        "controlnet_conditioning_scale": [settings[f"{kind}_strength"] for kind in kinds],
        "control_guidance_start": [settings[f"{kind}_start"] for kind in kinds],
        "control_guidance_end": [settings[f"{kind}_end"] for kind in kinds],
    }
    return {name: column[0] if len(kinds) == 1 else column for name, column in columns.items()}


def kinds_on(job: dict) -> list[str]:
    return [kind for kind in ("pose", "depth") if job["controls"][f"use_{kind}"]]
