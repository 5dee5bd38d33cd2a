"""Measures the demo's weights on held-out scenes: ``python -m demo.evaluate [--part find] [--engine embedded]``.

Five parts: ``find`` asks the detector alone; ``paint`` gives the painter the true masks, through the sampler of the
engine; ``wish`` does everything, from "make the green star yellow" to the stitched picture; ``reference`` too, with
"paint the green star in this colour" and a picture of something yellow; ``depth`` gives the thing another colour under
a loose mask, with and without its depth, and replaces it by another thing. No scene has a photo, nor a random seed,
of the training.
"""

import argparse
import contextlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imageine.runner import edit, planning
from imageine.runner.demo import GUIDANCE, SETTINGS, STEPS, make_models, trained_finder, working_client
from imageine.runner.engines.comfyui import find_comfyui
from PIL import Image

from . import depth_edits, finder_figures
from .reference import make_reference
from .scoring import REMOVED, Score, is_painted, score, wish_for
from .world import COLOURS, HELD_OUT_PHOTOS, PATTERNS, PLAIN, SHAPES, Scene, Thing, load_photos, make_scene

SEED = 20_261_123
PARTS = ("find", "paint", "wish", "reference", "depth")
EXTRAS = ("reference", "depth")  # parts that need models of their own


@dataclass(frozen=True)
class Case:
    """A scene, the thing in it that is to change, and what into."""

    scene: Scene
    thing: Thing
    colour: str
    pattern: str

    @property
    def prompt(self) -> str:
        """What the router gives the painter."""
        if self.colour == REMOVED:
            return "empty background"
        return " ".join(filter(None, (self.pattern, self.colour, self.thing.shape)))


def make_cases(count: int, *, removed: float, patterned: float) -> list[Case]:
    """Scenes of one to five things; the one to change is the only one of its colour and shape."""
    generator, photos = random.Random(SEED), load_photos(HELD_OUT_PHOTOS)
    cases = []
    while len(cases) < count:
        size = generator.choice(((256, 256), (320, 256), (256, 320)))
        scene = make_scene(generator, size, photos)
        names = [thing.name for thing in scene.things]
        single = [thing for thing in scene.things if names.count(thing.name) == 1]
        if not single:
            continue
        thing = generator.choice(single)
        kind = generator.random()
        if kind < removed:
            cases.append(Case(scene, thing, REMOVED, PLAIN))
        elif kind < removed + patterned:
            cases.append(Case(scene, thing, thing.colour, generator.choice(PATTERNS[1:])))
        else:
            cases.append(Case(scene, thing, generator.choice([c for c in COLOURS if c != thing.colour]), PLAIN))
    return cases


class Tally:
    """Yes and no, counted under names."""

    def __init__(self):
        self.counts: dict[str, list[bool]] = {}

    def note(self, name: str, right: bool) -> None:
        self.counts.setdefault(name, []).append(bool(right))

    def lines(self) -> Iterator[str]:
        for name, answers in self.counts.items():
            yield f"  {name:<58} {sum(answers) / len(answers):6.1%} of {len(answers)}"


def measure_painting(client: Any, cases: list[Case], sheet: list[Image.Image]) -> Tally:
    """The painter alone: the true mask, the prompt that the router would give it."""
    tally = Tally()
    options = {"steps": STEPS, "guidance": GUIDANCE, "settings": SETTINGS, "pipeline": "simple"}
    for number, case in enumerate(cases):
        mask = case.thing.mask(*case.scene.size)
        result = edit(case.scene.picture(), case.prompt, client=client, seed=number, mask=mask, **options)
        other = cases[(number + len(cases) // 3) % len(cases)]
        tally.note(_kind(case), is_painted(case.scene, case.thing, result.image, case.colour, case.pattern))
        if case.colour != REMOVED and not case.pattern and other.colour != REMOVED:
            shuffled = is_painted(case.scene, case.thing, result.image, other.colour)
            tally.note("the colour of another case's prompt", shuffled)
        sheet.append(_pair(case, result.image))
    return tally


def measure_wishes(client: Any, cases: list[Case], sheet: list[Image.Image]) -> Tally:
    """Everything: route, find, mask, paint, stitch."""
    tally = Tally()
    options = {"steps": STEPS, "guidance": GUIDANCE, "settings": SETTINGS}
    for number, case in enumerate(cases):
        wish = wish_for(case.thing, case.colour, case.pattern)
        result = edit(case.scene.picture(), wish, client=client, seed=number, **options)
        marks: Score = score(case.scene, case.thing, result.image, case.colour, case.pattern)
        tally.note("the wish was routed to the simple pipeline", result.decision.pipeline == "simple")
        tally.note("what changed is the right thing", marks.found)
        tally.note("it looks as asked", marks.painted)
        tally.note("the rest is as it was", marks.kept)
        tally.note("all of it", marks.right)
        tally.note(f"all of it, {_kind(case)}", marks.right)
        sheet.append(_pair(case, result.image))
    return tally


def measure_references(client: Any, cases: list[Case], sheet: list[Image.Image]) -> Tally:
    """Everything, the colour being that of a reference picture; and what comes of the same wish without one."""
    tally = Tally()
    generator, photos = random.Random(SEED), load_photos(HELD_OUT_PHOTOS)
    options = {"client": client, "steps": STEPS, "guidance": GUIDANCE, "settings": SETTINGS}
    for number, case in enumerate(cases):
        reference, _ = make_reference(generator, photos, case.colour)
        wish = f"paint the {case.thing.colour} {case.thing.shape} in this colour"
        result = edit(case.scene.picture(), wish, seed=number, reference=reference, **options)
        alone = edit(case.scene.picture(), wish, seed=number, **options)
        marks: Score = score(case.scene, case.thing, result.image, case.colour)
        without = is_painted(case.scene, case.thing, alone.image, case.colour)
        tally.note("it has the reference's colour", marks.painted)
        tally.note("it has that colour without the reference", without)
        tally.note("the right thing changed, to that colour, and nothing else", marks.right)
        sheet.append(_pair(case, result.image))
    return tally


def measure_depth(client: Any, cases: list[Case], sheet: list[Image.Image]) -> Tally:
    """Complex Edit by depth: whether the outline is kept that a loose mask hides, and whether a thing is replaced."""
    tally = Tally()
    options = {"client": client, "steps": STEPS, "guidance": GUIDANCE, "settings": SETTINGS}
    for number, case in enumerate(cases):
        alone = Case(case.scene.only(case.thing), case.thing, case.colour, PLAIN)
        for name, use_depth in (("with its depth", True), ("without", False)):
            picture = depth_edits.recolour(client, alone.scene, case.thing, case.colour, use_depth, number)
            overlap = depth_edits.kept(alone.scene, case.thing, picture, case.colour)
            tally.note(f"its outline is kept by at least 0.7 {name}", overlap >= 0.7)
            sheet.append(_pair(alone, picture))
        shape = SHAPES[(SHAPES.index(case.thing.shape) + 1 + number % 3) % len(SHAPES)]
        wish = f"replace the {case.thing.colour} {case.thing.shape} with a {case.colour} {shape}"
        replaced = "the right thing was replaced, in the colour asked for, and nothing else"
        routed = planning.decide(wish).edits[0].category == "object"
        tally.note("a replacement was routed as one of an object", routed)
        if not routed:  # "the red square" may be a place
            tally.note(replaced, False)
            continue
        result = edit(case.scene.picture(), wish, seed=number, **options)
        tally.note(replaced, score(case.scene, case.thing, result.image, case.colour).right)
        sheet.append(_pair(case, result.image))
    return tally


def _kind(case: Case) -> str:
    return "removed" if case.colour == REMOVED else "pattern" if case.pattern else "colour"


def _pair(case: Case, edited: Image.Image) -> Image.Image:
    both = Image.new("RGB", (260, 128), "white")
    for left, picture in ((0, case.scene.picture()), (130, edited.convert("RGB"))):
        both.paste(picture.resize((128, 128), Image.Resampling.LANCZOS), (left, 0))
    return both


def _save_sheet(path: Path, pairs: list[Image.Image]) -> None:
    columns = 6
    sheet = Image.new("RGB", (columns * 270, math.ceil(len(pairs) / columns) * 134), "grey")
    for place, pair in enumerate(pairs):
        sheet.paste(pair, (place % columns * 270, place // columns * 134))
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS, help="default: all")
    parser.add_argument("--engine", choices=("comfyui", "embedded"), default="comfyui")
    parser.add_argument("--count", type=int, default=200, help="scenes of each part")
    parser.add_argument("--sheets", type=Path, help="a folder for pictures before and after")
    arguments = parser.parse_args()
    parts = arguments.part or list(PARTS)
    folder = find_comfyui(None) if arguments.engine == "comfyui" else None
    if arguments.engine == "comfyui" and folder is None:
        parser.error("no ComfyUI was found: set COMFYUI_DIR, or measure with --engine embedded")
    models = make_models(folder, [part for part in parts if part in EXTRAS])
    with contextlib.ExitStack() as stack:
        if "depth" in parts:
            models = stack.enter_context(depth_edits.with_pose_names(models))
        client = stack.enter_context(working_client(folder, models)) if parts != ["find"] else None
        for part in parts:
            pairs: list[Image.Image] = []
            print(part, flush=True)
            if part == "find":
                finder_figures.report(trained_finder.WEIGHTS, arguments.count, None)
                continue
            if part == "paint":
                cases = make_cases(arguments.count, removed=0.0, patterned=0.0)
                cases += make_cases(arguments.count // 4, removed=0.5, patterned=0.5)
                tally = measure_painting(client, cases, pairs)
            elif part in EXTRAS:
                cases = make_cases(arguments.count, removed=0.0, patterned=0.0)
                tally = (measure_references if part == "reference" else measure_depth)(client, cases, pairs)
            else:
                cases = make_cases(arguments.count, removed=0.15, patterned=0.15)
                tally = measure_wishes(client, cases, pairs)
            print(*tally.lines(), sep="\n", flush=True)
            if pairs and arguments.sheets:
                arguments.sheets.mkdir(parents=True, exist_ok=True)
                _save_sheet(arguments.sheets / f"{part}.png", pairs[:72])


if __name__ == "__main__":
    main()
