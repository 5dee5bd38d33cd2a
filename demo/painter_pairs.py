"""What the painter learns from: crops of the toy world with a mask, a wish in known words, and what it asks for.

A crop is what Crop for Inpaint makes of a photo: the mask of the thing to edit, in whole latent cells, takes about
two thirds of its width. Everything is drawn at ``CELL`` pixels for one latent cell, since the painter's autoencoder
keeps no more of a cell than its mean.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from imageine.runner.demo.filling import BLOCK_SCALE
from imageine.runner.demo.trained_painter import CONCEPTS, LATENT_GAIN
from PIL import Image, ImageDraw

from .world import COLOURS, PATTERNS, PLAIN, SHAPES, Scene, Thing, make_background, overlap

CELL = 4
# The longest wish: pattern, colour, its second colour, shape.
LENGTH = 4
# Latent units, as the UNet sees them, per unit of brightness: SD 1.5 scales what its autoencoder gives.
SCALE = BLOCK_SCALE * LATENT_GAIN * 0.18215

_REMOVAL, _EXCHANGE, _ANYTHING = 0.2, 0.12, 0.12
_PATTERNED = 0.4


@dataclass
class Pair:
    """One crop of h x w latent cells.

    ``before``, ``after``: mean colour of every cell, ``[3,h,w]`` in 0..1. ``mask`` ``[h,w]``, 0 or 1. ``touched``
    ``[h,w]`` in 0..1: where the thing was or will be. ``words``: the wish, of ``CONCEPTS``. ``thing``: what is to be
    seen afterwards, None after a removal; ``scene`` is all but that, its ``neighbours`` drawn into its background.
    """

    before: np.ndarray
    after: np.ndarray
    mask: np.ndarray
    touched: np.ndarray
    words: tuple[str, ...]
    old: Thing
    thing: Thing | None
    scene: Scene
    neighbours: tuple[Thing, ...]


def make_pair(generator: random.Random, cells: tuple[int, int], photos: Sequence[Image.Image]) -> Pair:
    """A crop of ``cells`` (width, height) and its wish."""
    size = cells[0] * CELL, cells[1] * CELL
    old = _subject(generator, cells)
    scene = Scene(make_background(generator, size, photos), ())
    neighbours = _neighbours(generator, old, cells)
    scene = Scene(Scene(scene.background, neighbours).picture(), ())
    kind = generator.random()
    if kind < _REMOVAL:
        new, words = None, ("background",)
    else:
        new = _renewed(generator, old, exchange=kind < _REMOVAL + _EXCHANGE)
        words = () if generator.random() < _ANYTHING else _wish(generator, new)
    touched = [np.asarray(thing.mask(*size)) for thing in (old, new) if thing]
    return Pair(
        before=_means(replace(scene, things=(old,)).picture()),
        after=_means(replace(scene, things=(new,) if new else ()).picture()),
        mask=make_mask(generator, old, cells),
        touched=_means(Image.fromarray(np.maximum.reduce(touched)).convert("RGB"))[0],
        words=words,
        old=old,
        thing=new,
        scene=scene,
        neighbours=neighbours,
    )


def make_mask(
    generator: random.Random, thing: Thing, cells: tuple[int, int], margin: float | None = None
) -> np.ndarray:
    """A thing's mask as the product makes it, ``[h,w]`` of 0 and 1: grown, at times frayed, at times a box or ellipse.

    ``margin`` in latent cells.
    """
    size = cells[0] * CELL, cells[1] * CELL
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    grown = margin * CELL if margin is not None else generator.uniform(0.06, 0.5) * _radius(thing, size)
    kind = generator.choices(("silhouette", "frayed", "box", "ellipse"), (11, 4, 3, 1))[0]
    corners = thing.polygon(*size)
    left, top, right, bottom = thing.box(*size)
    if kind in ("box", "ellipse"):
        grown *= 0.6
        box = (left - grown, top - grown, right + grown, bottom + grown)
        (draw.rectangle if kind == "box" else draw.ellipse)(box, fill=255)
    else:
        draw.polygon(corners, fill=255)
        for x, y in _along(corners, max(grown, 1.0)):
            reach = grown * (generator.uniform(0.2, 1.6) if kind == "frayed" else 1.0)
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=255)
    pixels = np.asarray(image).reshape(cells[1], CELL, cells[0], CELL)
    return (pixels.max((1, 3)) > 0).astype(np.float32)


def collate(pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
    """``before``, ``after`` as latents ``[N,4,h,w]``, ``mask`` and ``touched`` ``[N,1,h,w]``, ``words`` one-hot."""

    def latents(name: str) -> torch.Tensor:
        colours = torch.from_numpy(np.stack([getattr(pair, name) for pair in pairs]))
        return torch.nn.functional.pad((colours - 0.5) * SCALE, (0, 0, 0, 0, 0, 1))

    return {
        "before": latents("before"),
        "after": latents("after"),
        "mask": torch.from_numpy(np.stack([pair.mask for pair in pairs]))[:, None],
        "touched": torch.from_numpy(np.stack([pair.touched for pair in pairs]))[:, None],
        "words": one_hot([pair.words for pair in pairs]),
    }


def one_hot(wishes: Sequence[Sequence[str]]) -> torch.Tensor:
    """``[N,LENGTH,len(CONCEPTS)]``; the rows that a wish does not fill are 0."""
    words = torch.zeros(len(wishes), LENGTH, len(CONCEPTS))
    for row, wish in enumerate(wishes):
        for place, word in enumerate(wish):
            words[row, place, CONCEPTS.index(word)] = 1
    return words


def _subject(generator: random.Random, cells: tuple[int, int]) -> Thing:
    """The thing to edit, so large and so placed that its mask takes about two thirds of the crop."""
    side = min(cells)
    half = generator.uniform(0.26, 0.34) if generator.random() < 0.85 else generator.uniform(0.16, 0.4)
    radius, ratio = side * half / generator.uniform(1.15, 1.5), generator.uniform(0.8, 1.25)
    centred = generator.random() < 0.75
    reach = [0.03 if centred else max(0.0, 0.5 - half * side / length) for length in cells]
    colour = generator.choice(tuple(COLOURS))
    shape = generator.choice(SHAPES)
    thing = Thing(
        colour,
        shape,
        0.5 + generator.uniform(-reach[0], reach[0]),
        0.5 + generator.uniform(-reach[1], reach[1]),
        radius * min(1.0, math.sqrt(ratio)) / cells[0],
        radius * min(1.0, 1 / math.sqrt(ratio)) / cells[1],
        math.radians(generator.uniform(-36, 36) if shape == "star" else generator.uniform(-20, 20)),
        COLOURS[colour],
        outlined=generator.random() < 0.1,
    )
    return thing.repainted(generator, colour, generator.choice(PATTERNS) if generator.random() < 0.2 else PLAIN)


def _neighbours(generator: random.Random, subject: Thing, cells: tuple[int, int]) -> tuple[Thing, ...]:
    """Other things, mostly cut by the crop's edge; none behind the subject."""
    size = cells[0] * CELL, cells[1] * CELL
    found: list[Thing] = []
    for _ in range(generator.choice((0, 0, 1, 2, 3))):
        other = replace(_subject(generator, cells), x=generator.uniform(-0.1, 1.1), y=generator.uniform(-0.1, 1.1))
        boxes = [thing.box(*size) for thing in (subject, *found)]
        if not any(overlap(other.box(*size), box) for box in boxes):
            found.append(other)
    return tuple(found)


def _renewed(generator: random.Random, old: Thing, exchange: bool) -> Thing:
    pattern = generator.choice(PATTERNS[1:]) if generator.random() < _PATTERNED else PLAIN
    new = old.repainted(generator, generator.choice(tuple(COLOURS)), pattern)
    if exchange:
        shape = generator.choice([shape for shape in SHAPES if shape != old.shape])
        smaller = generator.uniform(0.85, 1.0)
        new = replace(new, shape=shape, rx=new.rx * smaller, ry=new.ry * smaller)
    return replace(new, outlined=old.outlined and not pattern)


def _wish(generator: random.Random, thing: Thing) -> tuple[str, ...]:
    """Words that ask for ``thing``; now and then not all of them."""
    second = next(name for name, rgb in COLOURS.items() if rgb == thing.second)
    spoken = [
        (thing.pattern or "plain", 1.0 if thing.pattern else 0.1),
        (thing.colour, 0.96),
        (second, 0.1 if thing.pattern else 0.0),
        (thing.shape, 0.88),
    ]
    return tuple(word for word, chance in spoken if generator.random() < chance)


def _radius(thing: Thing, size: tuple[int, int]) -> float:
    return math.sqrt(thing.rx * size[0] * thing.ry * size[1])


def _along(corners: Sequence[tuple[float, float]], step: float):
    """Points on a closed outline, at most ``step`` apart."""
    for (x, y), (to_x, to_y) in zip(corners, [*corners[1:], corners[0]], strict=True):
        count = math.ceil(math.hypot(to_x - x, to_y - y) / step)
        for index in range(count):
            yield x + (to_x - x) * index / count, y + (to_y - y) * index / count


def _means(picture: Image.Image) -> np.ndarray:
    """``[3,h,w]`` in 0..1: the mean colour of every cell."""
    return np.asarray(picture.reduce(CELL), np.float32).transpose(2, 0, 1) / 255
