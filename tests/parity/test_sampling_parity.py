"""Sampling by ComfyUI's nodes and ours, and by diffusers: the same latents from the same weights and noise."""

import pytest
from support import sampling_cases
from support.sampling_cases import CASES, controls

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

BOUND = 1e-3

pytestmark = pytest.mark.usefixtures("one_thread")


def scaled(given: dict) -> torch.Tensor:
    from support import diffusers_oracle

    return given["latents"] * diffusers_oracle.SCALE


def change(given: dict, job: dict, from_comfyui, mask: torch.Tensor) -> float:
    """The largest change of the latents by what is to act, or, for inpainting alone, of the photo by it."""
    from support import diffusers_oracle

    if job != sampling_cases.plain(job):
        return float((scaled(given) - scaled(from_comfyui.sampled(sampling_cases.plain(job)))).abs().max())
    cells = mask[:, None, ::8, ::8].bool().expand_as(given["start"])
    return float((scaled(given) - given["start"] * diffusers_oracle.SCALE)[cells].abs().max())


@pytest.mark.parametrize("name", CASES)
def test_latents_agree(name, pictures, from_comfyui, oracle, table):
    job = CASES[name]
    given = from_comfyui.sampled(job)
    difference = float((scaled(given) - oracle.sample(given, pictures, job)).abs().max())
    effect = change(given, job, from_comfyui, pictures["mask"])
    table(*name.split(": "), difference, effect)
    assert torch.isfinite(given["latents"]).all()
    if job == sampling_cases.plain(job) or sampling_cases.acts(job):
        assert effect > 10 * BOUND, "nothing acted: the comparison would be empty"
    else:
        assert effect == 0
    assert difference < BOUND


def test_text_encodings_agree(from_comfyui, oracle, table):
    job = CASES["Inpainting: euler, normal"]
    oracle.set_lora(0.0)
    difference = float((from_comfyui.sampled(job)["positive"] - oracle.encode(job["positive"])).abs().max())
    table("Text encoding", "of one prompt", difference)
    assert difference < 1e-4


WRONG = {
    "prompt": ("Inpainting: euler, normal", {"positive": "a red wooden spoon"}),
    "strength": ("ControlNet: pose 1", {"controls": controls(0.9)}),
    "end": ("ControlNet: pose 1", {"controls": controls(1.0, pose_range=(0.0, 0.9))}),
    "map": ("ControlNet: pose 1", {"controls": controls(depth=1.0)}),
    "weight": ("IP-Adapter: plus 1", {"adapters": (sampling_cases.adapter("plus", 0.95),)}),
    "mask": ("IP-Adapter: plus 1", {"adapters": (sampling_cases.adapter("plus", 1.0, masked=True),)}),
    "LoRA": ("LoRA: 1", {"lora": 0.9}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_comparison_notices(wrong, pictures, from_comfyui, oracle):
    """The bound is worth something only if a wrong input breaks it."""
    name, swapped = WRONG[wrong]
    given = from_comfyui.sampled(CASES[name])
    theirs = oracle.sample(given, pictures, CASES[name] | swapped)
    assert float((scaled(given) - theirs).abs().max()) > 5 * BOUND


def test_comparison_notices_the_other_reference(pictures, from_comfyui, oracle):
    job = CASES["IP-Adapter: plus 1"]
    given = from_comfyui.sampled(job)
    theirs = oracle.sample(given | {"reference_pixels": given["reference_pixels"].flip(0)}, pictures, job)
    assert float((scaled(given) - theirs).abs().max()) > 10 * BOUND
