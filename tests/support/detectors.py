"""A small Grounding DINO in its real format, made once per test session."""

import functools
import shutil
import tempfile
from pathlib import Path

import pytest


@functools.cache
def template() -> Path:
    """The model's folder; shared, so not to be changed."""
    from imageine.runner.demo import seeded

    folder = Path(tempfile.mkdtemp(prefix="imageine-detector-"))
    seeded.grounding_dino(folder)
    return folder


@functools.cache
def detector():
    """The loaded detector; shared, so not to be changed."""
    from imageine.nodes.algorithms import grounding_dino

    return grounding_dino.load(template())


def detector_folder(target: Path) -> Path:
    """A copy of the model's folder that a test may damage."""
    return Path(shutil.copytree(template(), target))


def photo(name: str = "astronaut"):
    """A photo of scikit-image as an image batch ``[1,H,W,3]`` float32 in 0..1."""
    import torch

    data = pytest.importorskip("skimage.data")
    return torch.from_numpy(getattr(data, name)()).float().div(255)[None, ..., :3]
