"""Simple Edit's sampling, by ComfyUI's nodes and by diffusers: the same latents from the same weights and noise."""

import json

import numpy as np
import pytest
from support import comfyui as comfyui_support

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

SIZE = 128
BOUND = 1e-3
COMMON = {
    "positive": "a blue porcelain cup",
    "negative": "deformed, distorted, low quality, blurry",
    "guidance": 7.5,
    "seed": 1234,
}
JOBS = {
    "dpmpp_2m karras": COMMON | {"sampler": "dpmpp_2m", "scheduler": "karras", "steps": 25},
    "euler normal": COMMON | {"sampler": "euler", "scheduler": "normal", "steps": 10},
}


@pytest.fixture(scope="module")
def crop(photos):
    """A square of the coffee photo and a mask aligned to latent pixels: both sides then reduce it alike."""
    from PIL import Image

    picture = Image.open(photos["coffee"]).crop((180, 80, 436, 336)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)[None]
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, 32:96, 40:104] = 1.0
    return {"pixels": pixels.contiguous(), "mask": mask}


@pytest.fixture(scope="module")
def from_comfyui(crop, comfyui_dir, seeded_models, tmp_path_factory):
    """What ComfyUI made of every job in ``JOBS``."""
    from imageine.runner.demo import seeded
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("latents")
    save_file(crop, folder / "crop.safetensors")
    jobs = {name: job | {"output": str(folder / f"{name}.safetensors")} for name, job in JOBS.items()}
    comfyui_support.run_inside(
        comfyui_dir,
        "simple_edit_latents",
        seeded.CHECKPOINT.name,
        folder / "crop.safetensors",
        json.dumps(list(jobs.values())),
        base=folder,
        models=seeded_models,
    )
    return {name: load_file(job["output"]) for name, job in jobs.items()}


@pytest.fixture(scope="module")
def pipeline(comfyui_dir, seeded_models, tmp_path_factory):
    from imageine.runner.demo import seeded
    from support import diffusers_oracle

    folder = tmp_path_factory.mktemp("diffusers")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # at this size a second thread gains nothing and, on a busy machine, loses a lot
    yield diffusers_oracle.build(seeded_models / seeded.CHECKPOINT, "lite", comfyui_dir, folder)
    torch.set_num_threads(threads)


def test_text_encodings_agree(from_comfyui, pipeline, figures):
    ours = from_comfyui["dpmpp_2m karras"]["positive"]
    with torch.inference_mode():
        theirs = pipeline.encode_prompt(COMMON["positive"], "cpu", 1, False)[0]
    difference = float((ours - theirs).abs().max())
    figures(f"prompt encoding, ComfyUI against diffusers: max abs difference {difference:.1e}")
    assert difference < 1e-4


@pytest.mark.parametrize("name", JOBS)
def test_latents_agree(name, crop, from_comfyui, pipeline, figures):
    from support import diffusers_oracle

    given, mask = from_comfyui[name], crop["mask"][:, None, ::8, ::8].bool().expand(-1, 4, -1, -1)
    ours = given["latents"] * diffusers_oracle.SCALE
    theirs = diffusers_oracle.sample(pipeline, given, crop["pixels"], crop["mask"], JOBS[name])
    difference = float((ours - theirs).abs().max())
    edit = float((ours - given["start"] * diffusers_oracle.SCALE)[mask].abs().mean())
    figures(
        f"Simple Edit latents, ComfyUI against diffusers, {name}, {JOBS[name]['steps']} steps, guidance 7.5, "
        f"{SIZE} px, fp32, CPU: max abs difference {difference:.1e} (the edit itself changes them by {edit:.2f})"
    )
    assert torch.isfinite(ours).all()
    assert edit > 0.05, "nothing was sampled inside the mask: the comparison would be empty"
    assert difference < BOUND


def test_comparison_notices_another_prompt(crop, from_comfyui, pipeline):
    """The bound is worth something only if a wrong input breaks it."""
    from support import diffusers_oracle

    given = from_comfyui["euler normal"]
    job = JOBS["euler normal"] | {"positive": "a red wooden spoon"}
    theirs = diffusers_oracle.sample(pipeline, given, crop["pixels"], crop["mask"], job)
    assert float((given["latents"] * diffusers_oracle.SCALE - theirs).abs().max()) > 10 * BOUND
