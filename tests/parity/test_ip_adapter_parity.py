"""Sampling under Apply IP-Adapter, by ComfyUI's nodes and by diffusers: the same latents from the same weights."""

import json

import numpy as np
import pytest
from support import comfyui as comfyui_support
from support import seeded_controlnet, seeded_ip_adapter

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

SIZE = 128
BOUND = 1e-3
COMMON = {
    "positive": "a navy suit",
    "negative": "deformed, distorted, low quality, blurry",
    "guidance": 7.5,
    "seed": 1234,
    "sampler": "euler",
    "scheduler": "normal",
    "steps": 10,
    "pose": None,
}
KINDS = ("standard", "plus", "full")


def adapter(kind: str, weight: float, images: int = 1, masked: bool = False, **inputs) -> dict:
    return {"model": f"{kind}.safetensors", "weight": weight, "images": images, "masked": masked} | inputs


def case(*adapters: dict, **options) -> dict:
    return COMMON | {"adapters": adapters} | options


JOBS = {
    "standard 0": case(adapter("standard", 0.0)),
    "plus 0, masked": case(adapter("plus", 0.0, masked=True)),
    **{
        f"{kind} {weight:g}{', masked' if masked else ''}": case(adapter(kind, weight, masked=masked))
        for kind in KINDS[:2]
        for weight in (0.5, 1.0)
        for masked in (False, True)
    },
    "full-face 1": case(adapter("full", 1.0)),
    "plus 1, two references": case(adapter("plus", 1.0, images=2)),
    "standard 0.5 and plus 1, masked": case(adapter("standard", 0.5, masked=True), adapter("plus", 1.0, masked=True)),
    "plus 1 from 0.2 to 0.7": case(adapter("plus", 1.0, start_percent=0.2, end_percent=0.7)),
    "plus 1, ControlNet 1": case(adapter("plus", 1.0), pose=["pose.safetensors", 1.0]),
    "plus 1, dpmpp_2m karras": case(adapter("plus", 1.0), sampler="dpmpp_2m", scheduler="karras"),
    "plus 1, guidance 1": case(adapter("plus", 1.0), guidance=1.0),
}


@pytest.fixture(scope="module")
def pictures(photos):
    """The masks are aligned to latent pixels, which both sides reduce alike."""
    from PIL import Image

    def square(name: str, box: tuple, size: int = SIZE) -> torch.Tensor:
        picture = Image.open(photos[name]).crop(box).resize((size, size), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None].contiguous()

    mask, region = torch.zeros(2, 1, SIZE, SIZE)
    mask[:, 32:96, 40:104] = 1.0
    region[:, 16:80] = 1.0
    references = [square("chelsea", (100, 0, 356, 256), 300), square("coffee", (180, 80, 436, 336), 300)]
    return {
        "pixels": square("astronaut", (100, 0, 356, 256)),
        "pose_map": square("chelsea", (100, 0, 356, 256)),
        "references": torch.cat(references),
        "mask": mask.contiguous(),
        "region": region.contiguous(),
    }


@pytest.fixture(scope="module")
def models(seeded_models, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters")
    (folder / "checkpoints").symlink_to(seeded_models / "checkpoints", target_is_directory=True)
    for kind in KINDS:
        parts = seeded_ip_adapter.nested(seeded_ip_adapter.widths("lite"), kind)
        seeded_ip_adapter.save(folder / "ipadapter" / f"{kind}.safetensors", parts)
    seeded_controlnet.save(folder / "controlnet" / "pose.safetensors", "lite", "pose")
    return folder


@pytest.fixture(scope="module")
def from_comfyui(pictures, comfyui_dir, models, tmp_path_factory):
    """What ComfyUI made of every job in ``JOBS``."""
    from imageine.runner.demo import seeded
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("latents")
    save_file(pictures, folder / "pictures.safetensors")
    save_file(seeded_ip_adapter.vision(), folder / "vision.safetensors")
    jobs = {name: job | {"output": str(folder / f"{name}.safetensors")} for name, job in JOBS.items()}
    comfyui_support.run_inside(
        comfyui_dir,
        "ip_adapter_latents",
        seeded.CHECKPOINT.name,
        folder / "vision.safetensors",
        json.dumps(seeded_ip_adapter.VISION),
        folder / "pictures.safetensors",
        json.dumps(list(jobs.values())),
        base=folder,
        models=models,
    )
    return {name: load_file(job["output"]) for name, job in jobs.items()}


@pytest.fixture(scope="module")
def pipeline(comfyui_dir, seeded_models, tmp_path_factory):
    from imageine.runner.demo import seeded
    from support import diffusers_oracle, diffusers_references

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("diffusers")
    built = diffusers_oracle.build(seeded_models / seeded.CHECKPOINT, "lite", comfyui_dir, folder)
    built.register_modules(image_encoder=diffusers_references.image_encoder())
    yield built
    torch.set_num_threads(threads)


def by_diffusers(pipeline, given: dict, pictures: dict, job: dict, models, folder) -> torch.Tensor:
    from support import diffusers_controls, diffusers_references

    names = [one["model"].partition(".")[0] for one in job["adapters"]]
    channels = seeded_ip_adapter.widths("lite")
    diffusers_references.load(pipeline, [seeded_ip_adapter.nested(channels, kind) for kind in names])
    if job["pose"] is None:
        return diffusers_references.sample(pipeline, given, pictures, job)
    control_net = diffusers_controls.load(models / "controlnet" / job["pose"][0], "lite", folder)
    controlled = diffusers_controls.with_controls(pipeline, [control_net])
    controlled.register_modules(image_encoder=pipeline.image_encoder)
    hint = pictures["pose_map"].movedim(-1, 1)
    return diffusers_references.sample(
        controlled, given, pictures, job, control_image=hint, controlnet_conditioning_scale=job["pose"][1]
    )


@pytest.mark.parametrize("name", JOBS)
def test_latents_agree(name, pictures, from_comfyui, pipeline, models, figures, tmp_path):
    from support import diffusers_oracle

    job, given = JOBS[name], from_comfyui[name]
    ours = given["latents"] * diffusers_oracle.SCALE
    theirs = by_diffusers(pipeline, given, pictures, job, models, tmp_path)
    difference = float((ours - theirs).abs().max())
    line = f"IP-Adapter latents, ComfyUI against diffusers, {name}, {job['steps']} steps, {SIZE} px, fp32, CPU: "
    plain = from_comfyui["standard 0"]["latents"] * diffusers_oracle.SCALE
    effect = float((ours - plain).abs().max()) if job | {"adapters": ()} == COMMON | {"adapters": ()} else None
    line += f"max abs difference {difference:.1e}"
    figures(line + ("" if effect is None else f" (the reference itself changes them by up to {effect:.2f})"))
    assert torch.isfinite(ours).all()
    if effect is not None:
        acts = any(one["weight"] for one in job["adapters"])
        assert effect > 10 * BOUND if acts else effect == 0
    assert difference < BOUND


def test_comparison_notices_the_other_reference(pictures, from_comfyui, pipeline, models, tmp_path):
    """The bound is worth something only if a wrong input breaks it."""
    from support import diffusers_oracle

    name = "plus 1"
    given = from_comfyui[name] | {"reference_pixels": from_comfyui[name]["reference_pixels"].flip(0)}
    theirs = by_diffusers(pipeline, given, pictures, JOBS[name], models, tmp_path)
    assert float((from_comfyui[name]["latents"] * diffusers_oracle.SCALE - theirs).abs().max()) > 10 * BOUND
