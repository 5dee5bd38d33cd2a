"""What the trained segmenter reaches on held-out scenes: figures, and a sheet to look at."""

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from imageine.nodes.algorithms import segment_anything
from PIL import Image, ImageDraw

from . import world
from .segmenter_scenes import JITTER, PATTERNED, jittered

SEED = 66


@dataclass(frozen=True)
class Case:
    """One thing of a held-out scene: the box that asks for it, what was found, and how well: ``iou``."""

    picture: Image.Image
    thing: world.Thing
    box: tuple[float, ...]
    found: np.ndarray
    iou: float


def evaluate(folder: Path, scenes: int = 200, jitter: float = JITTER) -> list[Case]:
    """Every thing of ``scenes`` held-out scenes through the nodes' own masking code, by a box of a detector's kind."""
    photos = world.load_photos(world.HELD_OUT_PHOTOS)
    generator = random.Random(SEED)
    model = segment_anything.load(folder)
    cases = []
    for _ in range(scenes):
        size = generator.choice(((512, 384), (384, 512), (512, 512), (320, 240), (256, 256)))
        scene = world.make_scene(generator, size, photos, patterns=PATTERNED)
        unit = np.array(size * 2, np.float32)
        picture = scene.picture()
        image = torch.from_numpy(np.asarray(picture, np.float32) / 255)[None]
        boxes = [jittered(generator, thing.box(*size) / unit, jitter) * unit for thing in scene.things]
        prompts = [{"x": x, "y": y, "width": r - x, "height": b - y} for x, y, r, b in (box.tolist() for box in boxes)]
        (found,) = segment_anything.object_masks(model, image, prompts)
        for thing, box, mask in zip(scene.things, boxes, found.numpy(), strict=True):
            true = np.asarray(thing.mask(*size)) > 127
            iou = float((mask & true).sum() / (mask | true).sum())
            cases.append(Case(picture, thing, tuple(box.tolist()), mask, iou))
    return cases


def report(cases: list[Case]) -> str:
    """The mean IoU, how many reach 0.85, and the mean of each kind."""

    def line(name: str, chosen: list[Case]) -> str:
        ious = np.array([case.iou for case in chosen])
        return (
            f"{name:12} {len(ious):4}  mean IoU {ious.mean():.3f}  at least 0.85: {100 * (ious >= 0.85).mean():.1f} %"
        )

    lines = [line("all", cases)]
    for shape in world.SHAPES:
        lines.append(line(shape, [case for case in cases if case.thing.shape == shape]))
    lines.append(line("patterned", [case for case in cases if case.thing.pattern]))
    lines.append(line("plain", [case for case in cases if not case.thing.pattern]))
    return "\n".join(lines)


def draw_sheet(cases: list[Case], columns: int = 8, rows: int = 5, side: int = 150) -> Image.Image:
    """The cases from the worst on, and as many evenly drawn: each with its box, in red what was not found of the
    thing or found beside it."""
    ranked = sorted(cases, key=lambda case: case.iou)
    half = columns * rows // 2
    shown = ranked[:half] + ranked[half :: max(1, (len(ranked) - half) // half)][:half]
    sheet = Image.new("RGB", (columns * side, rows * side), "white")
    for place, case in enumerate(shown):
        wrong = case.found ^ (np.asarray(case.thing.mask(*case.picture.size)) > 127)
        pixels = np.where(case.found[..., None], np.asarray(case.picture), np.asarray(case.picture) // 3 + 100)
        tile = Image.fromarray(np.where(wrong[..., None], np.uint8((255, 0, 0)), pixels.astype(np.uint8)))
        ImageDraw.Draw(tile).rectangle(case.box, outline="cyan", width=2)
        left, top, right, bottom = case.box
        margin = max(right - left, bottom - top) * 0.25
        tile = tile.crop([round(edge) for edge in (left - margin, top - margin, right + margin, bottom + margin)])
        tile = tile.resize((side - 4, side - 4))
        ImageDraw.Draw(tile).text((4, 4), f"{case.iou:.2f}", fill="white", stroke_width=2, stroke_fill="black")
        sheet.paste(tile, (place % columns * side, place // columns * side))
    return sheet
