"""Complex Edit on toy scenes, by depth alone: the toy world has no people, and so no pose."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from imageine.runner import edit
from imageine.runner.demo import GUIDANCE, SETTINGS, STEPS
from PIL import Image, ImageDraw

from .world import COLOURS, Scene, Thing

REACH = 0.35  # of a thing's longer side: how far a loose mask goes beyond its box

# Engines want the models of a graph to be there, used or not. These are never opened.
_POSE_FILES = (
    "controlnet/control_v11p_sd15_openpose.safetensors",
    "pose/vitpose-base-simple/config.json",
    "pose/vitpose-base-simple/model.safetensors",
)


@contextlib.contextmanager
def with_pose_names(models: Path) -> Iterator[Path]:
    """A folder with everything that ``models`` has, and empty files where Complex Edit's pose models would be."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in models.rglob("*"):
            place = root / path.relative_to(models)
            if path.is_file():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(path)
        for name in _POSE_FILES:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
        yield root


def loose_mask(scene: Scene, thing: Thing) -> Image.Image:
    """A box around ``thing`` that hides its outline, mode "L", white inside."""
    left, top, right, bottom = thing.box(*scene.size)
    reach = REACH * max(right - left, bottom - top)
    mask = Image.new("L", scene.size)
    ImageDraw.Draw(mask).rectangle((left - reach, top - reach, right + reach, bottom + reach), fill=255)
    return mask


def recolour(client: Any, scene: Scene, thing: Thing, colour: str, use_depth: bool, seed: int) -> Image.Image:
    """``scene`` after "make it ``colour``" under the loose mask of ``thing``."""
    settings = {**SETTINGS, "use_pose": False, "use_depth": use_depth}
    result = edit(
        scene.picture(), f"make it {colour}", client=client, mask=loose_mask(scene, thing), workflow="Complex Edit",
        seed=seed, steps=STEPS, guidance=GUIDANCE, settings=settings,
    )  # fmt: skip
    return result.image


def kept(scene: Scene, thing: Thing, edited: Image.Image, colour: str) -> float:
    """Intersection over union of the outline of ``thing`` and what is nearer to ``colour`` in ``edited``, under the
    loose mask, than to what lies behind the thing."""
    levels = np.asarray(edited.convert("RGB"), np.float32)
    behind = np.asarray(scene.background, np.float32)
    nearer = np.linalg.norm(levels - np.float32(COLOURS[colour]), axis=2) < np.linalg.norm(levels - behind, axis=2)
    painted = nearer & (np.asarray(loose_mask(scene, thing)) > 0)
    outline = np.asarray(thing.mask(*scene.size)) > 127
    return float((painted & outline).sum() / (painted | outline).sum())
