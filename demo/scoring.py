"""Whether an edit of a toy scene did what its wish said: the right thing, the right colour, nothing else."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from .world import CHECKED, COLOURS, PLAIN, STRIPED, Scene, Thing

# Levels of 255. A pixel that differs by more than the first has changed; what differs by less is an edge's blur.
CHANGED = 24
# Outside the thing, grown by so much of the shorter side, so small a part of the pixels may have changed.
MARGIN, SPILT = 0.08, 0.005
# Of a pattern's two colours, how much of the thing each has to cover.
SHARE = 0.15

REMOVED = "removed"


@dataclass(frozen=True)
class Score:
    """``found``: what changed is the thing. ``painted``: it has the colour (pattern, absence) asked for.
    ``kept``: the rest is as it was."""

    found: bool
    painted: bool
    kept: bool

    @property
    def right(self) -> bool:
        return self.found and self.painted and self.kept


def score(scene: Scene, thing: Thing, edited: Image.Image, colour: str, pattern: str = PLAIN) -> Score:
    """``colour`` is what ``thing`` was to become: a key of ``COLOURS``, or ``REMOVED``."""
    before, after = (np.asarray(picture.convert("RGB"), np.float32) for picture in (scene.picture(), edited))
    changed = np.abs(after - before).max(-1) > CHANGED
    inside = _levels(thing.mask(*scene.size)) > 127
    union = changed | inside
    if pattern == PLAIN:
        found = (changed & inside).sum() >= 0.5 * union.sum()
    else:  # what has the thing's own colour before and after does not change
        found = (changed & inside).sum() >= 0.5 * changed.sum() > 0
    margin = 2 * round(MARGIN * min(scene.size)) + 1
    far = _levels(thing.mask(*scene.size).filter(ImageFilter.MaxFilter(margin))) == 0
    kept = (changed & far).sum() <= SPILT * far.sum()
    return Score(bool(found), is_painted(scene, thing, edited, colour, pattern), bool(kept))


def is_painted(scene: Scene, thing: Thing, edited: Image.Image, colour: str, pattern: str = PLAIN) -> bool:
    """Whether the middle of ``thing``, away from its edge, looks as asked for."""
    middle = _levels(thing.mask(*scene.size, 0.7)) > 127
    pixels = np.asarray(edited.convert("RGB"), np.float32)[middle]
    if colour == REMOVED:
        behind = np.asarray(scene.background, np.float32)[middle].mean(0)
        mean = pixels.mean(0)
        return bool(np.linalg.norm(mean - behind) < np.linalg.norm(mean - np.float32(thing.rgb)))
    if pattern == PLAIN:
        return nearest_colour(pixels.mean(0)) == colour
    names = [nearest_colour(pixel) for pixel in pixels[:: max(1, len(pixels) // 400)]]
    second = "black" if colour == "white" else "white"
    return min(names.count(colour), names.count(second)) >= SHARE * len(names)


def nearest_colour(rgb: np.ndarray) -> str:
    """The key of ``COLOURS`` nearest to ``rgb``, 0 to 255."""
    return min(COLOURS, key=lambda name: float(np.linalg.norm(np.float32(COLOURS[name]) - rgb)))


def wish_for(thing: Thing, colour: str, pattern: str = PLAIN) -> str:
    """The wish that turns ``thing`` into ``colour`` and ``pattern``, in words that differ from colour to colour."""
    name = f"the {thing.colour} {thing.shape}"
    if colour == REMOVED:
        return ("remove {}", "delete {}", "erase {}")[len(name) % 3].format(name)
    if pattern in (STRIPED, CHECKED):
        return f"make {name} {pattern}"
    ways = ("make {} {}", "paint {} {}", "turn {} {}", "colour {} {}", "change {} to {}")
    return ways[(len(name) + len(colour)) % len(ways)].format(name, colour)


def iou(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes: left, top, right, bottom."""
    width = max(0.0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0.0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (sum(areas) - width * height + 1e-9)


def _levels(mask: Image.Image) -> np.ndarray:
    return np.asarray(mask)
