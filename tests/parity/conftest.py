"""One ComfyUI and one set of diffusers' models for all that is compared with diffusers; one table of the results."""

import json
import os
from types import SimpleNamespace

import pytest
from support import comfyui as comfyui_support
from support import parity_table, sampling_cases, seeded_controlnet, seeded_ip_adapter, unet_cases


@pytest.fixture(scope="session")
def table(figures):
    """Call it with ``parity_table.Row``'s fields; the rows are printed as one table at the end of the run."""
    rows: list[parity_table.Row] = []
    yield lambda *fields: rows.append(parity_table.Row(*fields))
    for line in parity_table.text(rows):
        figures(line)
    if os.environ.get("IMAGEINE_UPDATE"):
        parity_table.write(rows)


@pytest.fixture(scope="session")
def pictures(photos):
    return sampling_cases.pictures(photos)


@pytest.fixture(scope="session")
def parity_models(seeded_models, tmp_path_factory):
    return sampling_cases.models_folder(tmp_path_factory.mktemp("parity"), seeded_models)


@pytest.fixture(scope="session")
def networks(tmp_path_factory):
    """diffusers' full-depth UNets by base model."""
    pytest.importorskip("diffusers")
    from support import diffusers_unets

    folder = tmp_path_factory.mktemp("unets")
    return {base: diffusers_unets.Network(base, folder) for base in unet_cases.UNETS}


@pytest.fixture(scope="session")
def oracle(parity_models):
    pytest.importorskip("diffusers")
    from support import diffusers_sampling

    return diffusers_sampling.Oracle(parity_models)


@pytest.fixture(scope="session")
def from_comfyui(pictures, networks, comfyui_dir, parity_models, tmp_path_factory):
    """What ComfyUI made: ``sampled(job)``, tensors, and by base model ``predicted``, tensors, and ``report``."""
    from imageine.runner.demo import seeded
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("latents")
    save_file(pictures, folder / "pictures.safetensors")
    save_file(seeded_ip_adapter.vision(), folder / "vision.safetensors")
    jobs = unique([*sampling_cases.CASES.values(), *map(sampling_cases.plain, sampling_cases.CASES.values())])
    outputs = {key: str(folder / f"{number}.safetensors") for number, key in enumerate(jobs)}
    (folder / "jobs.json").write_text(json.dumps([jobs[key] | {"output": outputs[key]} for key in jobs]))
    files = {
        "checkpoint": seeded.CHECKPOINT.name,
        "lora": sampling_cases.LORA,
        "pose_control_net": seeded_controlnet.POSE,
        "depth_control_net": seeded_controlnet.DEPTH,
        "adapters": [f"{kind}.safetensors" for kind in sampling_cases.ADAPTERS],
    }
    vision = {"weights": str(folder / "vision.safetensors"), "configuration": seeded_ip_adapter.VISION}
    sampling = [json.dumps(files), json.dumps(vision), f"{folder}/pictures.safetensors", f"{folder}/jobs.json"]
    predicted = {base: folder / f"{base}.safetensors" for base in networks}
    unets = {}
    for base, network in networks.items():
        other = next(one.files[1] for name, one in networks.items() if name != base)
        unets[base] = [*map(str, network.files), str(other), json.dumps(unet_cases.CASES), str(predicted[base])]
    arguments = (json.dumps(sampling), json.dumps(unets))
    report = comfyui_support.run_inside(comfyui_dir, "parity", *arguments, base=folder, models=parity_models)
    return SimpleNamespace(
        sampled=lambda job: load_file(outputs[key_of(job)]),
        predicted={base: load_file(path) for base, path in predicted.items()},
        report=report,
    )


def unique(jobs: list[dict]) -> dict[str, dict]:
    return {key_of(job): job for job in jobs}


def key_of(job: dict) -> str:
    return json.dumps(job, sort_keys=True)
