"""The toy world that the demo's weights are trained on: coloured shapes before plain, noisy and photo backgrounds.

A ``Scene`` is a description; ``picture`` draws it. The painter's training pairs are two scenes that differ in one
``Thing``: everything else is drawn the same, to the last pixel.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops, ImageDraw

COLOURS = {
    "red": (215, 30, 35),
    "orange": (245, 135, 20),
    "yellow": (240, 220, 40),
    "green": (40, 160, 60),
    "blue": (35, 75, 215),
    "purple": (125, 45, 165),
    "pink": (250, 140, 190),
    "brown": (115, 70, 35),
    "black": (20, 20, 22),
    "white": (248, 248, 246),
}
SHAPES = ("circle", "square", "triangle", "star")
PLAIN, STRIPED, CHECKED = "", "striped", "checked"
PATTERNS = (PLAIN, STRIPED, CHECKED)

# Photographs of scikit-image that its package ships. The held-out ones are seen in no training.
TRAINING_PHOTOS = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "chelsea.png",
    "grass.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "page.png",
)
HELD_OUT_PHOTOS = ("coffee.png", "coins.png", "gravel.png", "retina.jpg", "rocket.jpg")

_OVERSAMPLING = 2
_SMALLEST, _LARGEST = 0.09, 0.25  # radius, of the picture's shorter side
_TRIES = 12
# How far a thing's colour has to be from what lies around it, in 8-bit levels: a white star on paper is no task.
_CONTRAST = 60.0


@dataclass(frozen=True)
class Thing:
    """One shape. Lengths are fractions of the picture's width (``x``, ``rx``) and height (``y``, ``ry``).

    ``rgb`` is the colour it is drawn in, near the one that ``colour`` names; ``second`` that of a pattern's other half.
    ``angle`` in radians. ``outlined``: with a darker rim.
    """

    colour: str
    shape: str
    x: float
    y: float
    rx: float
    ry: float
    angle: float
    rgb: tuple[int, int, int]
    pattern: str = PLAIN
    second: tuple[int, int, int] = COLOURS["white"]
    outlined: bool = False

    @property
    def name(self) -> str:
        """As a person would say it: "blue circle", "striped red star"."""
        return " ".join(filter(None, (self.pattern, self.colour, self.shape)))

    def polygon(self, width: int, height: int, scale: float = 1.0) -> list[tuple[float, float]]:
        """Its corners in pixels of a picture of ``width`` x ``height``; ``scale`` grows it about its middle."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        rx, ry = self.rx * width * scale, self.ry * height * scale
        corners = ((x * cos - y * sin, x * sin + y * cos) for x, y in _OUTLINES[self.shape])
        return [(self.x * width + rx * x, self.y * height + ry * y) for x, y in corners]

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in pixels, cut at the picture's edge."""
        xs, ys = zip(*self.polygon(width, height), strict=True)
        return max(min(xs), 0.0), max(min(ys), 0.0), min(max(xs), float(width)), min(max(ys), float(height))

    def mask(self, width: int, height: int, scale: float = 1.0) -> Image.Image:
        """Where it is: mode "L", 255 inside, smooth at the edge."""
        big = Image.new("L", (width * _OVERSAMPLING, height * _OVERSAMPLING))
        ImageDraw.Draw(big).polygon(self.polygon(*big.size, scale), fill=255)
        return big.reduce(_OVERSAMPLING)

    def repainted(self, generator: random.Random, colour: str, pattern: str | None = None) -> "Thing":
        """The same in another colour, and pattern if one is given."""
        changed = replace(self, colour=colour, rgb=_shade(generator, COLOURS[colour]))
        return changed if pattern is None else replace(changed, pattern=pattern, second=_second(colour))


@dataclass(frozen=True)
class Scene:
    """A background, mode RGB, and what stands before it; no two things overlap."""

    background: Image.Image
    things: tuple[Thing, ...]

    @property
    def size(self) -> tuple[int, int]:
        return self.background.size

    def only(self, thing: Thing) -> "Scene":
        return replace(self, things=(thing,))

    def picture(self) -> Image.Image:
        """The scene, mode RGB."""
        image = self.background.copy()
        for thing in self.things:
            image.paste(_fill(thing, self.size), mask=thing.mask(*self.size))
            if thing.outlined:
                rim = ImageChops.subtract(thing.mask(*self.size), thing.mask(*self.size, 0.9))
                image.paste(tuple(int(level * 0.4) for level in thing.rgb), mask=rim)
        return image


def load_photos(names: Sequence[str]) -> list[Image.Image]:
    """Photographs that scikit-image ships, mode RGB."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    return [Image.open(folder / name).convert("RGB") for name in names]


def make_scene(
    generator: random.Random,
    size: tuple[int, int],
    photos: Sequence[Image.Image],
    *,
    wanted: Sequence[tuple[str | None, str | None]] = (),
    count: int | None = None,
    patterns: float = 0.0,
    stretch: float = 1.33,
) -> Scene:
    """A scene of ``count`` things (default 1 to 5), the first of them ``wanted``: (colour, shape), None for any.

    ``patterns`` is the part of the things that is striped or checked, ``stretch`` the largest ratio of a thing's
    sides. Things that find no room are left out, so look whether the wanted ones are there.
    """
    background = make_background(generator, size, photos)
    scene = Scene(background, ())
    for place in range(count or generator.randint(1, 5)):
        colour, shape = wanted[place] if place < len(wanted) else (None, None)
        thing = _make_thing(generator, scene, colour, shape, patterns, stretch)
        if thing is not None:
            scene = replace(scene, things=(*scene.things, thing))
    return scene


def make_background(generator: random.Random, size: tuple[int, int], photos: Sequence[Image.Image]) -> Image.Image:
    """A plain colour, a gradient, noise or a cutout of one of ``photos`` (if there are any), mode RGB."""
    kind = generator.choices(("plain", "gradient", "noise", "photo"), (3, 2, 2, 4 if photos else 0))[0]
    if kind == "photo":
        return _cutout(generator, generator.choice(photos), size)
    if kind == "plain":
        grey = generator.random() < 0.4
        return Image.new("RGB", size, (generator.randrange(256),) * 3 if grey else _any_colour(generator))
    if kind == "gradient":
        corners = Image.new("RGB", (2, 2))
        corners.putdata([_any_colour(generator) for _ in range(4)])
        return corners.resize(size, Image.Resampling.BILINEAR)
    draws = np.random.default_rng(generator.randrange(1 << 30))
    grain = generator.choice((1, 2, 4, 8))
    channels = generator.choice((1, 3))
    spread = draws.normal(0, generator.uniform(8, 40), (size[1] // grain + 1, size[0] // grain + 1, channels))
    levels = np.clip(np.array(_any_colour(generator)) + spread, 0, 255).astype(np.uint8)
    return Image.fromarray(levels).resize(size, Image.Resampling.BILINEAR)


def _make_thing(
    generator: random.Random, scene: Scene, colour: str | None, shape: str | None, patterns: float, stretch: float
) -> Thing | None:
    width, height = scene.size
    side = min(width, height)
    for _ in range(_TRIES):
        name, kind = colour or generator.choice(tuple(COLOURS)), shape or generator.choice(SHAPES)
        radius, ratio = side * generator.uniform(_SMALLEST, _LARGEST), generator.uniform(1 / stretch, stretch)
        rx, ry = radius * math.sqrt(ratio) / width, radius / math.sqrt(ratio) / height
        pattern = generator.choice(PATTERNS[1:]) if generator.random() < patterns else PLAIN
        thing = Thing(
            name,
            kind,
            generator.uniform(rx, max(1 - rx, rx)),
            generator.uniform(ry, max(1 - ry, ry)),
            rx,
            ry,
            math.radians(generator.uniform(-36, 36) if kind == "star" else generator.uniform(-20, 20)),
            _shade(generator, COLOURS[name]),
            pattern,
            _second(name),
            outlined=not pattern and generator.random() < 0.2,
        )
        boxes = [other.box(width, height) for other in scene.things]
        if not any(overlap(thing.box(width, height), box) for box in boxes) and _stands_out(thing, scene.background):
            return thing
    return None


def _stands_out(thing: Thing, background: Image.Image) -> bool:
    around = np.asarray(background.crop(tuple(round(edge) for edge in thing.box(*background.size))), np.float32)
    return around.size > 0 and float(np.linalg.norm(around.reshape(-1, 3).mean(0) - thing.rgb)) >= _CONTRAST


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    """Whether two boxes (left, top, right, bottom) have an area in common."""
    return min(one[2], other[2]) > max(one[0], other[0]) and min(one[3], other[3]) > max(one[1], other[1])


def _fill(thing: Thing, size: tuple[int, int]) -> Image.Image:
    """The thing's colour or pattern over a whole picture."""
    if thing.pattern == PLAIN:
        return Image.new("RGB", size, thing.rgb)
    width, height = size
    # Coordinates that turn and grow with the thing: its two bars or squares across are three or four everywhere.
    x, y = np.meshgrid((np.arange(width) + 0.5) / width - thing.x, (np.arange(height) + 0.5) / height - thing.y)
    x, y = x / thing.rx, y / thing.ry
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    across, along = np.floor((y * cos - x * sin) * 2 + 0.5), np.floor((x * cos + y * sin) * 2 + 0.5)
    odd = (across if thing.pattern == STRIPED else across + along) % 2 == 1
    return Image.fromarray(np.where(odd[..., None], np.uint8(thing.second), np.uint8(thing.rgb)))


def _cutout(generator: random.Random, photo: Image.Image, size: tuple[int, int]) -> Image.Image:
    side = generator.randint(80, min(photo.size))
    left, top = generator.randint(0, photo.width - side), generator.randint(0, photo.height - side)
    return photo.resize(size, Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))


def _any_colour(generator: random.Random) -> tuple[int, int, int]:
    return generator.randrange(256), generator.randrange(256), generator.randrange(256)


def _shade(generator: random.Random, rgb: tuple[int, int, int]) -> tuple[int, int, int]:
    factor = generator.uniform(0.88, 1.12)
    red, green, blue = (min(255, max(0, round(level * factor + generator.uniform(-10, 10)))) for level in rgb)
    return red, green, blue


def _second(colour: str) -> tuple[int, int, int]:
    """The other half of a pattern: white, black beside white."""
    return COLOURS["black" if colour == "white" else "white"]


def _regular(corners: int, inner: float = 1.0) -> list[tuple[float, float]]:
    """A regular polygon, or a star if every other corner lies at ``inner``; the first corner at the top."""
    turns = [(2 * math.pi * place / corners, 1.0 if place % 2 == 0 else inner) for place in range(corners)]
    return [(radius * math.sin(turn), -radius * math.cos(turn)) for turn, radius in turns]


# Within the unit circle, y downwards.
_OUTLINES = {
    "circle": _regular(48),
    "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
    "triangle": _regular(3),
    "star": _regular(10, 0.42),
}
