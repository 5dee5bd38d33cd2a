"""Sampling under Apply Controls, by ComfyUI's nodes and by diffusers: the same latents from the same weights."""

import json

import numpy as np
import pytest
from support import comfyui as comfyui_support
from support import seeded_controlnet

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
}
WHOLE = (0.0, 1.0)


def case(pose: float = 0.0, depth: float = 0.0, pose_range=WHOLE, depth_range=WHOLE, **options) -> dict:
    """Strengths, 0 for off, and the parts of the sampling in which they act."""
    controls = {}
    for kind, strength, (start, end) in (("pose", pose, pose_range), ("depth", depth, depth_range)):
        controls |= {f"use_{kind}": bool(strength), f"{kind}_strength": strength}
        controls |= {f"{kind}_start": start, f"{kind}_end": end}
    return COMMON | {"controls": controls} | options


# A range of the noise schedule covers the same steps in both where "normal" spaces them evenly: of ten, 0.2 to 0.7
# are steps 2 to 6, for ComfyUI since step i is at i/9, for diffusers as it counts.
JOBS = {
    "pose 1.0": case(pose=1.0),
    "pose 0.35": case(pose=0.35),
    "depth 1.0, dpmpp_2m karras": case(depth=1.0, sampler="dpmpp_2m", scheduler="karras"),
    "pose 1.0 and depth 0.35": case(pose=1.0, depth=0.35),
    "pose 1.0 from 0.2 to 0.7": case(pose=1.0, pose_range=(0.2, 0.7)),
    "pose 1.0 to 0.7, depth 0.35 from 0.2": case(1.0, 0.35, (0.0, 0.7), (0.2, 1.0)),
}


@pytest.fixture(scope="module")
def pictures(photos):
    """Crops of real photos stand in for maps; the mask is aligned to latent pixels, which both sides reduce alike."""
    from PIL import Image

    def square(name: str, box: tuple) -> torch.Tensor:
        picture = Image.open(photos[name]).crop(box).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None].contiguous()

    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 32:96, 40:104] = 1.0
    return {
        "pixels": square("astronaut", (100, 0, 356, 256)),
        "pose_map": square("chelsea", (100, 0, 356, 256)),
        "depth_map": square("coffee", (180, 80, 436, 336)),
        "mask": mask,
    }


@pytest.fixture(scope="module")
def models(seeded_models, tmp_path_factory):
    return seeded_controlnet.models_folder(tmp_path_factory.mktemp("controls"), seeded_models)


@pytest.fixture(scope="module")
def from_comfyui(pictures, comfyui_dir, models, tmp_path_factory):
    """What ComfyUI made of every job in ``JOBS``, and by sampler of one without controls."""
    from imageine.runner.demo import seeded
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("latents")
    save_file(pictures, folder / "pictures.safetensors")
    plain = {
        job["sampler"]: {**job, **case(sampler=job["sampler"], scheduler=job["scheduler"])} for job in JOBS.values()
    }
    every = JOBS | plain
    jobs = {name: job | {"output": str(folder / f"{name}.safetensors")} for name, job in every.items()}
    control_nets = {"pose_control_net": seeded_controlnet.POSE, "depth_control_net": seeded_controlnet.DEPTH}
    comfyui_support.run_inside(
        comfyui_dir,
        "control_latents",
        seeded.CHECKPOINT.name,
        json.dumps(control_nets),
        folder / "pictures.safetensors",
        json.dumps(list(jobs.values())),
        base=folder,
        models=models,
    )
    return {name: load_file(job["output"]) for name, job in jobs.items()}


@pytest.fixture(scope="module")
def theirs(comfyui_dir, models, pictures, tmp_path_factory):
    """``theirs(given, job, **swapped)``: diffusers' latents for a job; ``swapped`` replaces maps."""
    from imageine.runner.demo import seeded
    from support import diffusers_controls, diffusers_oracle

    folder = tmp_path_factory.mktemp("diffusers")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # at this size a second thread gains nothing and, on a busy machine, loses a lot
    plain = diffusers_oracle.build(models / seeded.CHECKPOINT, "lite", comfyui_dir, folder)
    files = {"pose": seeded_controlnet.POSE, "depth": seeded_controlnet.DEPTH}
    nets = {
        kind: diffusers_controls.load(models / "controlnet" / name, "lite", tmp_path_factory.mktemp(kind))
        for kind, name in files.items()
    }

    def sample(given, job, **swapped):
        settings = job["controls"]
        used = [kind for kind in nets if settings[f"use_{kind}"]]
        pipeline = diffusers_controls.with_controls(plain, [nets[kind] for kind in used])
        controls = [
            (
                swapped.get(f"{kind}_map", pictures[f"{kind}_map"]),
                *(settings[f"{kind}_{name}"] for name in ("strength", "start", "end")),
            )
            for kind in used
        ]
        return diffusers_controls.sample(pipeline, given, pictures, job, controls)

    yield sample
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", JOBS)
def test_latents_agree(name, from_comfyui, theirs, pictures, figures):
    from support.diffusers_oracle import SCALE

    given, job = from_comfyui[name], JOBS[name]
    ours = given["latents"] * SCALE
    difference = float((ours - theirs(given, job)).abs().max())
    mask = pictures["mask"][:, None, ::8, ::8].bool().expand(-1, 4, -1, -1)
    effect = float((ours - from_comfyui[job["sampler"]]["latents"] * SCALE)[mask].abs().mean())
    figures(
        f"Apply Controls latents, ComfyUI against diffusers, {name}, {job['steps']} steps, guidance 7.5, {SIZE} px, "
        f"fp32, CPU: max abs difference {difference:.1e} (without the control they differ by {effect:.3f} on average)"
    )
    assert torch.isfinite(ours).all()
    assert effect > 10 * BOUND, "the controls changed nothing: the comparison would be empty"
    assert difference < BOUND


@pytest.mark.parametrize("wrong", ["map", "strength", "end"])
def test_comparison_notices(wrong, from_comfyui, theirs, pictures):
    """The bound is worth something only if another map, strength or range breaks it."""
    from support.diffusers_oracle import SCALE

    given, job, swapped = from_comfyui["pose 1.0"], JOBS["pose 1.0"], {}
    if wrong == "map":
        swapped = {"pose_map": pictures["depth_map"]}
    elif wrong == "strength":
        job = case(pose=0.9)
    else:
        job = case(pose=1.0, pose_range=(0.0, 0.9))
    assert float((given["latents"] * SCALE - theirs(given, job, **swapped)).abs().max()) > 5 * BOUND
