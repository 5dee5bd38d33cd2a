"""Trains the demo's depth ControlNet: ``python -m demo.control --minutes 25 --out OUT [--resume STATE] [--install]``.

The painter (runner/demo/weights/painter.safetensors) stays as it is; a copy of the half of it that goes down learns to
tell it, from a depth map, where a thing's outline is. Masks are loose here, so that nothing else tells it. Where the
wish names another shape than the map shows, the map is to say the place and the wish the shape.

Writes control.pt (the state, every two minutes), loss.csv, sheet.png (held-out crops: before, mask, depth, with the
map, without) and control.safetensors; prints how well the outline is kept with and without the map.
"""

import argparse
import csv
import math
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from imageine.runner.demo import trained_control, trained_painter
from PIL import Image, ImageDraw, ImageFilter
from safetensors.torch import save_file

from .depth import disparity
from .painter import error_weights, noise_levels, noisy
from .painter_net import Control, Painter
from .painter_pairs import CELL, Pair, collate, make_pair
from .painter_sampling import sample
from .world import COLOURS, HELD_OUT_PHOTOS, SHAPES, TRAINING_PHOTOS, Scene, Thing, load_photos

SEED = 21
_RATE, _WARM_UP, _EMA = 1e-3, 50, 0.995
_SAVE_EVERY = 120.0  # seconds
_LOOSE, _SHAPE_UNSAID, _OLD_SHOWN = 0.7, 0.5, 0.5
_SCHEDULE = ((0.4, (16, 16), 16), (1.01, (32, 32), 6))  # until this part of the time, cells, crops


def make_example(generator: random.Random, cells: tuple[int, int], photos: Sequence[Image.Image]) -> Pair:
    """The painter's pair, mostly with a loose mask, its wish at times without the shape."""
    pair = make_pair(generator, cells, photos)
    if generator.random() < _LOOSE:
        pair = replace(pair, mask=loose_mask(generator, pair.old, cells))
    if generator.random() < _SHAPE_UNSAID:
        pair = replace(pair, words=tuple(word for word in pair.words if word not in SHAPES))
    return pair


def loose_mask(generator: random.Random, thing: Thing, cells: tuple[int, int]) -> np.ndarray:
    """A box or an ellipse that says little of a thing's outline, ``[h,w]`` of 0 and 1."""
    left, top, right, bottom = thing.box(*cells)
    reach = max(right - left, bottom - top) / 2
    edges = [reach * generator.uniform(0.15, 0.9) for _ in range(4)]
    box = (left - edges[0], top - edges[1], right + edges[2], bottom + edges[3])
    image = Image.new("L", cells)
    draw = ImageDraw.Draw(image)
    (draw.ellipse if generator.random() < 0.3 else draw.rectangle)(box, fill=255)
    draw.polygon(thing.polygon(*cells, scale=1.1), fill=255)
    return (np.asarray(image) > 0).astype(np.float32)


def shown(generator: random.Random, pair: Pair) -> Thing | None:
    """The thing that the map shows: what is to be seen afterwards, or, where the wish says its shape, at times the
    old one."""
    if pair.thing and pair.thing.shape in pair.words and generator.random() < _OLD_SHOWN:
        return pair.old
    return pair.thing


def depth_map(generator: random.Random, pair: Pair, thing: Thing | None) -> np.ndarray:
    """How near every cell is, ``[h,w]``, the nearest 1: as drawn, and as a model would see it, a little blurred."""
    height, width = pair.mask.shape
    things = (*pair.neighbours, *((thing,) if thing else ()))
    near = disparity(Scene(Image.new("RGB", (width * CELL, height * CELL)), things))
    image = Image.fromarray(np.uint8(near / max(near.max(), 1e-6) * 255))
    image = image.filter(ImageFilter.GaussianBlur(generator.choice((0, 0, 1, 2))))
    levels = np.asarray(image.reduce(CELL), np.float32) / 255
    return levels * (1 - generator.uniform(0, 0.15)) + generator.uniform(0, 0.05)


def batch_of(generator: random.Random, pairs: Sequence[Pair]) -> dict[str, torch.Tensor]:
    """``painter_pairs.collate``'s, and the maps ``near`` ``[N,1,h,w]``."""
    maps = [depth_map(generator, pair, shown(generator, pair)) for pair in pairs]
    return collate(pairs) | {"near": torch.from_numpy(np.stack(maps)).float()[:, None]}


class Controlled(torch.nn.Module):
    """A painter with its ControlNet and a batch's depth maps: called as the painter alone is."""

    def __init__(self, painter: Painter, control: Control, near: torch.Tensor):
        super().__init__()
        self.painter, self.control, self.near = painter, control, near

    def forward(self, x: torch.Tensor, timesteps: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        return self.painter(x, timesteps, words, self.control(x[:, :4], self.near, timesteps, words))


def trained_narrow_painter() -> Painter:
    """The painter as the product has it."""
    painter = Painter()
    painter.load_state_dict(trained_painter.narrow())
    return painter.requires_grad_(False)


class Trainer:
    """The ControlNet, its optimiser, and the average of its weights."""

    def __init__(self, resume: Path | None):
        torch.manual_seed(SEED)
        self.painter = trained_narrow_painter()
        self.control = Control().begin(self.painter)
        self.optimiser = torch.optim.AdamW(self.control.parameters(), _RATE, betas=(0.9, 0.99), weight_decay=0.01)
        self.mean = {name: tensor.clone() for name, tensor in self.control.state_dict().items()}
        self.step, self.seconds, self.losses = 0, 0.0, []
        if resume:
            state = torch.load(resume, weights_only=True)
            self.control.load_state_dict(state["control"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.mean, self.losses = state["mean"], list(state["losses"])
            self.step, self.seconds = state["step"], state["seconds"]

    def run(self, minutes: float, out: Path, start: float) -> None:
        """Train for ``minutes``, from part ``start`` of the schedule on, the rate falling to nothing."""
        photos, generator = load_photos(TRAINING_PHOTOS), random.Random(f"control {SEED} {self.step}")
        torch.manual_seed(SEED + self.step)
        began = saved = time.monotonic()
        first, before, recent = self.step, self.seconds, []
        while (place := (time.monotonic() - began) / (60 * minutes)) < 1:
            warm = min(1.0, (self.step - first + 1) / _WARM_UP)
            self.optimiser.param_groups[0]["lr"] = _RATE * warm * (0.5 + 0.5 * math.cos(math.pi * place))
            part = start + (1 - start) * place
            _, cells, count = next(row for row in _SCHEDULE if part < row[0])
            pairs = [make_example(generator, cells, photos) for _ in range(count)]
            recent.append(self.learn(batch_of(generator, pairs)))
            self.seconds = before + time.monotonic() - began
            if len(recent) == 100:
                loss, alone = (sum(column) / len(recent) for column in zip(*recent, strict=True))
                self.losses.append((self.step, loss, alone))
                print(f"{self.seconds:6.0f} s  step {self.step}  loss {loss:.4f}  without {alone:.4f}", flush=True)
                recent = []
            if time.monotonic() - saved > _SAVE_EVERY:
                saved = time.monotonic()
                self.save(out)
        self.save(out)

    def learn(self, batch: dict[str, torch.Tensor]) -> tuple[float, float]:
        """One step; returns its loss, and that of the painter without the map: only the difference says something."""
        count = len(batch["after"])
        timesteps = noise_levels((torch.randperm(count) + torch.rand(count)) / count)
        inputs, noise = noisy(batch, timesteps)
        weights = error_weights(batch, timesteps)
        with torch.autocast("cpu", torch.bfloat16, enabled=inputs.shape[-1] > 16):
            found = Controlled(self.painter, self.control, batch["near"])(inputs, timesteps, batch["words"])
            loss = ((found.float() - noise) ** 2 * weights).mean()
            with torch.no_grad():
                alone = self.painter(inputs, timesteps, batch["words"])
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.control.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(_EMA, self.step / (self.step + 20))
        for name, tensor in self.control.state_dict().items():
            self.mean[name].lerp_(tensor, 1 - keep)
        return float(loss.detach()), float(((alone.float() - noise) ** 2 * weights).mean())

    def save(self, out: Path) -> None:
        state = {"control": self.control.state_dict(), "optimiser": self.optimiser.state_dict(), "mean": self.mean}
        state |= {"step": self.step, "seconds": self.seconds, "losses": self.losses}
        torch.save(state, out / "control.pt.part")
        (out / "control.pt.part").replace(out / "control.pt")
        content = {name: tensor.half().contiguous() for name, tensor in self.mean.items()}
        save_file(content, out / "control.safetensors")
        with (out / "loss.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("step", "loss", "without the map"), *self.losses])


def make_cases(count: int, seed: int = 4343) -> list[Pair]:
    """Held-out crops under loose masks: another colour for the thing, named alone."""
    generator, photos = random.Random(seed), load_photos(HELD_OUT_PHOTOS)
    cases: list[Pair] = []
    while len(cases) < count:
        pair = make_pair(generator, (32, 32), photos)
        if not pair.thing or pair.thing.pattern or pair.thing.shape != pair.old.shape:
            continue
        ground = np.asarray(pair.scene.background.reduce(CELL), np.float32)
        inside = _inside(pair.old, (32, 32))
        if np.linalg.norm(ground[inside].mean(0) - COLOURS[pair.thing.colour]) < 100:
            continue  # an outline that can't be seen can't be judged
        mask = loose_mask(generator, pair.old, (32, 32))
        cases.append(replace(pair, mask=mask, words=(pair.thing.colour,)))
    return cases


def held_out(painter: Painter, control: Control, count: int = 48) -> tuple[list[float], list[float], Image.Image]:
    """Overlaps of painted thing and the old one's outline with the map and without, and a sheet of what was painted."""
    cases, generator = make_cases(count), random.Random(1)
    kept, alone, columns = [], [], []
    for start in range(0, count, 12):
        pairs = cases[start : start + 12]
        batch = collate(pairs)
        near = np.stack([depth_map(generator, pair, pair.old) for pair in pairs])
        maps = torch.from_numpy(near).float()[:, None]
        led = sample(Controlled(painter, control, maps), batch, guidance=2.0, steps=12).numpy()
        free = sample(painter, batch, guidance=2.0, steps=12).numpy()
        for pair, depth, one, other in zip(pairs, near, led, free, strict=True):
            kept.append(overlap(one, pair))
            alone.append(overlap(other, pair))
            hidden = pair.before * (1 - pair.mask) + 0.5 * pair.mask
            columns.append(np.concatenate([pair.before, hidden, np.repeat(depth[None], 3, 0), one, other], 1))
    rows = [np.concatenate(columns[start : start + 12], 2) for start in range(0, min(count, 24), 12)]
    levels = (np.concatenate(rows, 1).transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8)
    sheet = Image.fromarray(levels)
    return kept, alone, sheet.resize((sheet.width * 3, sheet.height * 3), Image.Resampling.NEAREST)


def overlap(picture: np.ndarray, pair: Pair) -> float:
    """Intersection over union of the old outline and of the cells of ``picture`` ``[3,h,w]`` under the mask that are
    nearer to the colour asked for than to what was behind the thing."""
    ground = np.asarray(pair.scene.background.reduce(CELL), np.float32)
    levels = picture.transpose(1, 2, 0) * 255
    asked = np.linalg.norm(levels - np.float32(COLOURS[pair.thing.colour]), axis=2)
    painted = (asked < np.linalg.norm(levels - ground, axis=2)) & (pair.mask > 0)
    inside = _inside(pair.old, ground.shape[1::-1])
    return float((painted & inside).sum() / (painted | inside).sum())


def _inside(thing: Thing, cells: tuple[int, int]) -> np.ndarray:
    return np.asarray(thing.mask(cells[0] * CELL, cells[1] * CELL).reduce(CELL)) > 127


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=25, help="how long to train; 0 measures only")
    parser.add_argument("--out", type=Path, required=True, help="folder for the state, the curve and the sheet")
    parser.add_argument("--resume", type=Path, help="a control.pt to go on from")
    parser.add_argument("--start", type=float, default=0.0, help="part of the schedule to begin with, 0..1")
    parser.add_argument("--install", action="store_true", help="put the weights where the product reads them")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(chosen.resume)
    if chosen.minutes:
        trainer.run(chosen.minutes, chosen.out, chosen.start)
    trainer.control.load_state_dict(trainer.mean)
    kept, alone, sheet = held_out(trainer.painter, trainer.control)
    print(f"{len(kept)} held-out crops: the outline is kept by {np.mean(kept):.3f} with the map, {np.mean(alone):.3f} "
          f"without; by at least 0.7 in {np.mean(np.array(kept) >= 0.7):.0%} and "
          f"{np.mean(np.array(alone) >= 0.7):.0%}")  # fmt: skip
    sheet.save(chosen.out / "sheet.png")
    if chosen.install:
        trained_control.WEIGHTS.write_bytes((chosen.out / "control.safetensors").read_bytes())


if __name__ == "__main__":
    main()
