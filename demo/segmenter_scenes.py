"""What the segmenter learns from: scenes of the toy world, boxes that are a little off, and the silhouettes in them."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from . import world

BATCH, PROMPTS = 8, 3  # pictures a step, boxes a picture
JITTER = 0.12  # how far a box's edge may lie off, of the box's side
PATTERNED = 0.3
# What less than this part of is left at the picture's edge is asked for in no box.
_LEAST_LEFT = 0.3
# The image processor's.
_MEAN, _STD = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Example:
    """``picture`` uint8 [S,S,3]; ``masks`` uint8 [n,S/2,S/2]; ``boxes`` float [n,4], corners as fractions of S."""

    picture: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray


def make_example(generator: random.Random, photos: list[Image.Image], size: int) -> Example:
    """A scene of 128 to 512 pixels, now and then cut at its edges, stretched to the model's square."""
    while True:
        width, height = (round(128 * 4 ** generator.random()) for _ in range(2))
        if not 0.55 < width / height < 1.8:
            continue
        count = generator.choice((1, 2, 3, 4, 5, 9))
        scene = world.make_scene(generator, (width, height), photos, count=count, patterns=PATTERNED, stretch=1.6)
        window = _window(generator, width, height)
        half = size // 2
        masks, boxes = [], []
        for thing in scene.things:
            whole = thing.mask(width, height)
            box = _inside(thing.box(width, height), window)
            cut = whole.crop([round(edge) for edge in window])
            if box and np.asarray(cut, np.float32).sum() > _LEAST_LEFT * np.asarray(whole, np.float32).sum():
                masks.append(np.asarray(whole.resize((half, half), Image.Resampling.BILINEAR, box=window)))
                boxes.append(box)
        if masks:
            picture = scene.picture().resize((size, size), Image.Resampling.BILINEAR, box=window)
            return Example(np.asarray(picture), np.stack(masks), np.array(boxes, np.float32))


def _window(generator: random.Random, width: int, height: int) -> tuple[float, float, float, float]:
    if generator.random() < 0.6:
        return 0, 0, width, height
    across, down = width * generator.uniform(0.5, 1), height * generator.uniform(0.5, 1)
    left, top = generator.uniform(0, width - across), generator.uniform(0, height - down)
    return left, top, left + across, top + down


def _inside(box: tuple[float, ...], window: tuple[float, ...]) -> list[float] | None:
    """The part of ``box`` in ``window``, as fractions of that; None where there is none."""
    left, top, right, bottom = window
    scale = (right - left, bottom - top) * 2
    edges = [(edge - start) / side for edge, start, side in zip(box, (left, top) * 2, scale, strict=True)]
    edges = [min(max(edge, 0.0), 1.0) for edge in edges]
    return edges if edges[2] > edges[0] and edges[3] > edges[1] else None


def jittered(generator: random.Random, box: np.ndarray, amount: float) -> np.ndarray:
    """The box with every edge moved by up to ``amount`` of its side; the picture, of side 1, clips it."""
    sides = np.tile(box[2:] - box[:2], 2)
    moved = box + sides * [generator.uniform(-amount, amount) for _ in range(4)]
    return np.clip(moved, 0, 1).astype(np.float32)


def make_batch(generator: random.Random, photos: list[Image.Image], size: int) -> tuple[torch.Tensor, ...]:
    """Pixels ``[B,3,S,S]``, points ``[B,P,2,2]`` in pixels and masks ``[B,P,S/2,S/2]`` in 0..1."""
    examples = [make_example(generator, photos, size) for _ in range(BATCH)]
    pixels = torch.from_numpy(np.stack([example.picture for example in examples])).float() / 255
    points, masks = [], []
    for example in examples:
        chosen = [generator.randrange(len(example.boxes)) for _ in range(PROMPTS)]
        points.append([jittered(generator, example.boxes[one], JITTER) for one in chosen])
        masks.append(example.masks[chosen])
    corners = torch.from_numpy(np.array(points)).view(BATCH, PROMPTS, 2, 2) * size
    return ((pixels - _MEAN) / _STD).movedim(-1, 1), corners, torch.from_numpy(np.stack(masks)).float() / 255
