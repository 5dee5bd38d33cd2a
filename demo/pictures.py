"""Draws the three pictures that ``imageine demo`` edits: ``python -m demo.pictures``.

Coloured shapes before photographs that no training has seen. In each the wish has to choose: there is another thing of
the same colour, and another of the same shape.
"""

import argparse
import math
from pathlib import Path

from PIL import Image

from .world import COLOURS, Scene, Thing, load_photos

SIZE = (512, 384)
FOLDER = Path(__file__).parents[1] / "runner" / "demo" / "pictures"

# Name, photograph, the part of it (left, top, right, bottom as fractions), and the things:
# colour, shape, x and y and radius in pixels of SIZE, angle in degrees.
PICTURES = (
    (
        "coffee",
        "coffee.png",
        (0.0, 0.0, 0.89, 1.0),
        (
            ("blue", "circle", 120, 110, 74, 0),
            ("blue", "star", 400, 110, 76, 8),
            ("red", "circle", 410, 290, 58, 0),
            ("yellow", "triangle", 130, 300, 68, -10),
        ),
    ),
    (
        "rocket",
        "rocket.jpg",
        (0.0, 0.0, 0.89, 1.0),
        (
            ("green", "star", 140, 120, 84, -6),
            ("orange", "star", 396, 282, 70, 12),
            ("green", "square", 410, 96, 62, 9),
            ("pink", "circle", 118, 300, 56, 0),
        ),
    ),
    (
        "gravel",
        "gravel.png",
        (0.1, 0.2, 0.9, 0.8),
        (
            ("red", "square", 390, 250, 92, -8),
            ("red", "triangle", 140, 100, 74, 10),
            ("blue", "square", 370, 80, 54, 14),
            ("yellow", "star", 130, 280, 80, 0),
        ),
    ),
)


def draw(photo: Image.Image, part: tuple[float, float, float, float], things: tuple[tuple, ...]) -> Image.Image:
    """One picture, mode RGB, of ``SIZE``."""
    width, height = SIZE
    box = tuple(round(edge * side) for edge, side in zip(part, photo.size * 2, strict=True))
    background = photo.resize(SIZE, Image.Resampling.LANCZOS, box=box)
    drawn = [
        Thing(
            colour, shape, x / width, y / height, radius / width, radius / height, math.radians(angle), COLOURS[colour]
        )
        for colour, shape, x, y, radius, angle in things
    ]
    return Scene(background, tuple(drawn)).picture()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=FOLDER)
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name, photo, part, things in PICTURES:
        picture = draw(load_photos([photo])[0], part, things)
        picture.save(folder / f"{name}.jpg", quality=92, subsampling=0, optimize=True)


if __name__ == "__main__":
    main()
