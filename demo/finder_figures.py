"""How well the finder finds, through the product's own detection: on scenes before photographs that it never saw.

python -m demo.finder_figures --sheet /tmp/sheet.jpg
"""

import argparse
import math
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from imageine.nodes.algorithms import boxes, grounding_dino
from imageine.runner.demo import trained_finder
from PIL import Image

from . import world
from .scoring import iou

BOX_THRESHOLD, TEXT_THRESHOLD = 0.3, 0.25  # the product's
SIZES = ((512, 384), (512, 384), (384, 512), (256, 256), (640, 400))
SEED = 77
LOWEST = 0.02  # the score from which boxes are looked at when a threshold is sought
OTHER_WORDS = (
    "dog",
    "car",
    "red car",
    "person",
    "blue shirt",
    "sky",
    "tree",
    "cup",
    "house",
    "hat",
    "gray cat",
    "circus",
)


@dataclass(frozen=True)
class Question:
    """``kind`` of question, the prompt, and the boxes of all things that it names, in pixels."""

    kind: str
    scene: world.Scene
    prompt: str
    right: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Answer:
    """Scores, best first, and with which of the right boxes each box agrees (-1: none)."""

    question: Question
    scores: tuple[float, ...]
    hits: tuple[int, ...]

    def top_is_right(self, threshold: float) -> bool:
        return bool(self.scores) and self.scores[0] > threshold and self.hits[0] >= 0

    def silent(self, threshold: float) -> bool:
        return not self.scores or self.scores[0] <= threshold

    def exact(self, threshold: float) -> bool:
        """Whether all that it names was found, and nothing else."""
        hits = [hit for score, hit in zip(self.scores, self.hits, strict=True) if score > threshold]
        return -1 not in hits and len(set(hits)) == len(self.question.right)


def questions(count: int, photos: Sequence[Image.Image], seed: int = SEED) -> list[Question]:
    """About ``count`` scenes, and as many with two things that differ in colour or in shape alone."""
    generator = random.Random(seed)
    asked = []
    for _ in range(count):
        scene = world.make_scene(generator, generator.choice(SIZES), photos)
        if scene.things:
            asked += _plain(generator, scene)
        asked += _pair(generator, photos)
    return asked


def load(weights: Path) -> grounding_dino.GroundingDino:
    with tempfile.TemporaryDirectory() as folder:
        return grounding_dino.load(trained_finder.save(Path(folder), weights))


def answers(weights: Path, asked: Sequence[Question]) -> list[Answer]:
    detector = load(weights)
    return [answer(detector, question) for question in asked]


def answer(detector: grounding_dino.GroundingDino, question: Question, threshold: float = LOWEST) -> Answer:
    picture = torch.from_numpy(np.array(question.scene.picture())).float().div(255)[None]
    (frame,) = grounding_dino.detect(detector, picture, question.prompt, threshold, TEXT_THRESHOLD)
    hits = []
    for box in frame:
        found = boxes.clipped(box, *question.scene.size)
        fits = [iou(found, right) for right in question.right]
        hits.append(int(np.argmax(fits)) if fits and max(fits) >= 0.5 else -1)
    return Answer(question, tuple(box["score"] for box in frame), tuple(hits))


def figures(answers: Sequence[Answer], threshold: float = BOX_THRESHOLD) -> dict[str, tuple[float, int]]:
    """Per kind of question the part of the answers that are right, and how many there are.

    Right is: the best box is above the threshold and on the thing; where nothing is named, no box above it. The lines
    "..., all of them and nothing else" are stricter.
    """
    table = {}
    for kind in dict.fromkeys(one.question.kind for one in answers):
        those = [one for one in answers if one.question.kind == kind]
        present = bool(those[0].question.right)
        right = [one.top_is_right(threshold) if present else one.silent(threshold) for one in those]
        table[kind] = (sum(right) / len(right), len(right))
        if present:
            table[f"{kind}, all of them and nothing else"] = (
                sum(one.exact(threshold) for one in those) / len(those),
                len(those),
            )
    return table


def best_shift(answers: Sequence[Answer]) -> float:
    """What to add to the logits so that the product's threshold makes the fewest mistakes, each kind as heavy."""
    kinds = {kind: [one for one in answers if one.question.kind == kind] for kind in {a.question.kind for a in answers}}

    def right(threshold: float) -> float:
        return sum(sum(one.exact(threshold) for one in those) / len(those) for those in kinds.values())

    steps = [one / 100 for one in range(3, 90)]
    best = max(right(step) for step in steps)
    good = [step for step in steps if right(step) >= best - 0.004 * len(kinds)]
    return _logit(BOX_THRESHOLD) - (_logit(good[0]) + _logit(good[-1])) / 2


def report(weights: Path, count: int, sheet: Path | None) -> None:
    """Print the figures of ``count`` held-out scenes and draw a few of them."""
    asked = questions(count, world.load_photos(world.HELD_OUT_PHOTOS))
    for kind, (part, number) in figures(answers(weights, asked)).items():
        print(f"{part:6.1%} of {number:3}  {kind}")
    if sheet:
        contact_sheet(load(weights), asked[:24], sheet)


def contact_sheet(detector: grounding_dino.GroundingDino, asked: Sequence[Question], path: Path) -> None:
    """Four pictures in a row with what was found at the product's thresholds, the question written above."""
    tiles = []
    for question in asked:
        picture = torch.from_numpy(np.array(question.scene.picture())).float().div(255)[None]
        frames = grounding_dino.detect(detector, picture, question.prompt, BOX_THRESHOLD, TEXT_THRESHOLD)
        drawn = boxes.preview(picture, frames, f"{question.prompt}: nothing found")
        tile = Image.fromarray(drawn[0].mul(255).round().to(torch.uint8).numpy())
        tile.thumbnail((300, 300))
        tiles.append(tile)
    rows = math.ceil(len(tiles) / 4)
    sheet = Image.new("RGB", (4 * 310, rows * 310), "white")
    for at, tile in enumerate(tiles):
        sheet.paste(tile, (at % 4 * 310, at // 4 * 310))
    sheet.save(path)


def _plain(generator: random.Random, scene: world.Scene) -> list[Question]:
    thing = generator.choice(scene.things)
    shapes = [one for one in world.SHAPES if all(one != other.shape for other in scene.things)]
    colours = [one for one in world.COLOURS if all((one, thing.shape) != (t.colour, t.shape) for t in scene.things)]
    asked = [
        ("shape", thing.shape),
        ("colour and shape", f"{thing.colour} {thing.shape}"),
        ("colour absent", f"{generator.choice(colours)} {thing.shape}"),
        ("other words", generator.choice(OTHER_WORDS)),
    ]
    if shapes:
        shape = generator.choice(shapes)
        asked += [("shape absent", shape), ("shape absent, its colour there", f"{thing.colour} {shape}")]
    return [_question(kind, scene, prompt) for kind, prompt in asked]


def _pair(generator: random.Random, photos: Sequence[Image.Image]) -> list[Question]:
    colours, shapes = generator.sample(tuple(world.COLOURS), 2), generator.sample(world.SHAPES, 2)
    kind, wanted = generator.choice(
        (
            ("beside its shape in another colour", [(colours[0], shapes[0]), (colours[1], shapes[0])]),
            ("beside its colour in another shape", [(colours[0], shapes[0]), (colours[0], shapes[1])]),
        )
    )
    scene = world.make_scene(generator, generator.choice(SIZES), photos, wanted=wanted, count=generator.randint(2, 4))
    if not set(wanted) <= {(thing.colour, thing.shape) for thing in scene.things}:
        return []
    return [_question(kind, scene, " ".join(wanted[0]))]


def _question(kind: str, scene: world.Scene, prompt: str) -> Question:
    words = prompt.split()
    named = [thing for thing in scene.things if thing.shape == words[-1] and words[0] in (thing.colour, thing.shape)]
    return Question(kind, scene, prompt, tuple(thing.box(*scene.size) for thing in named))


def _logit(score: float) -> float:
    return math.log(score / (1 - score))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=trained_finder.WEIGHTS)
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--sheet", type=Path, help="a picture of what was found, to be written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    report(options.weights, options.scenes, options.sheet)


if __name__ == "__main__":
    main()
