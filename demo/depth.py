"""Trains the demo's depth model: ``python -m demo.depth --minutes 25 --out OUT [--resume OUT/depth.pt] [--install]``.

All things of the toy world are equally large, so the one that looks larger is nearer: a thing's disparity is its
diameter over the picture's shorter side, the background's is 0. Pictures are scenes, and windows of them as Crop for
Inpaint cuts them, at the size that the model sees.

Writes depth.pt (the state, every two minutes), loss.csv, sheet.png (held-out pictures) and depth.safetensors; prints
how well the silhouettes of held-out scenes are found, through the node's own code.
"""

import argparse
import csv
import math
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from imageine.nodes.algorithms import depth_anything
from imageine.runner.demo import trained_depth
from imageine.runner.demo.trained_depth import CELLS, PATCH, PROCESSOR, SIZE
from PIL import Image
from safetensors.torch import save_file
from transformers import Dinov2Backbone

from .world import HELD_OUT_PHOTOS, TRAINING_PHOTOS, Scene, load_photos, make_scene

SEED = 11
_RATE, _WARM_UP, _EMA = 2e-3, 50, 0.99
_BATCH = 16
_PATTERNED = 0.3
_GROUND = 0.2  # what the model says of the background: well above 0, where its ReLUs cut; maps are normalised
_NEAR = 0.2  # of a normalised map: what is nearer counts as a thing
_SAVE_EVERY = 120.0  # seconds
_SHAPES = ((SIZE, SIZE),) * 3 + ((SIZE, SIZE + 5 * PATCH), (SIZE + 5 * PATCH, SIZE))  # width, height
_MEAN, _STD = (torch.tensor(PROCESSOR[name]) for name in ("image_mean", "image_std"))


def disparity(scene: Scene) -> np.ndarray:
    """How near everything is, ``[H,W]`` float32 in 0..1."""
    width, height = scene.size
    found = np.zeros((height, width), np.float32)
    for thing in scene.things:
        diameter = 2 * math.sqrt(thing.rx * width * thing.ry * height) / min(scene.size)
        inside = np.asarray(thing.mask(width, height), np.float32) / 255
        found += (min(diameter, 1.0) - found) * inside
    return found


def make_example(
    generator: random.Random, photos: Sequence[Image.Image], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """A picture ``[H,W,3]`` uint8 and its disparity ``[H,W]``, of ``size`` (width, height)."""
    width, height = size
    finer = generator.choice((1.0, 1.5, 2.0, 3.0))
    drawn = round(width * finer), round(height * finer)
    count = generator.choice((1, 1, 2, 3, 4, 5))
    scene = make_scene(generator, drawn, photos, count=count, patterns=_PATTERNED, stretch=1.6)
    window = _window(generator, scene)
    zoom = min(drawn) / min(window[2] - window[0], window[3] - window[1])
    picture = scene.picture().resize(size, Image.Resampling.BICUBIC, box=window)
    near = Image.fromarray(disparity(scene) * zoom).resize(size, Image.Resampling.BILINEAR, box=window)
    return np.asarray(picture), np.asarray(near).clip(0, 1)


def _window(generator: random.Random, scene: Scene) -> tuple[float, float, float, float]:
    """The whole picture, or a part in which one thing takes a half to three quarters of the shorter side."""
    width, height = scene.size
    if not scene.things or generator.random() < 0.4:
        return 0, 0, width, height
    left, top, right, bottom = generator.choice(scene.things).box(width, height)
    part = max((right - left) / width, (bottom - top) / height) / generator.uniform(0.5, 0.8)
    part = min(part, 1.0)
    across, down = part * width, part * height
    x = (left + right) / 2 - across * generator.uniform(0.4, 0.6)
    y = (top + bottom) / 2 - down * generator.uniform(0.4, 0.6)
    x, y = min(max(x, 0.0), width - across), min(max(y, 0.0), height - down)
    return x, y, x + across, y + down


def make_batch(
    generator: random.Random, photos: Sequence[Image.Image], size: tuple[int, int], count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures ``[N,3,H,W]``, normalised, and disparities ``[N,H,W]``."""
    pictures, near = zip(*(make_example(generator, photos, size) for _ in range(count)), strict=True)
    pixels = torch.from_numpy(np.stack(pictures)).float() / 255
    return ((pixels - _MEAN) / _STD).movedim(-1, 1), torch.from_numpy(np.stack(near))


def error_of(found: torch.Tensor, near: torch.Tensor) -> torch.Tensor:
    """Absolute error of ``found`` ``[N,H,W]``, things counted as much as the background, plus that of the slopes, which
    keeps edges sharp."""
    near = _GROUND + (1 - _GROUND) * near
    error = (found.float() - near).abs()
    inside = near > _GROUND + 0.02
    loss = error[~inside].mean() + error[inside].mean() if inside.any() else error.mean()
    for axis in (1, 2):
        loss = loss + (found.diff(dim=axis) - near.diff(dim=axis)).abs().mean()
    return loss


class Network(torch.nn.Module):
    """What is trained of the model. ``[N,3,H,W]``, normalised -> ``[N,H,W]``; height and width multiples of 8."""

    def __init__(self):
        super().__init__()
        self.backbone = Dinov2Backbone(trained_depth.backbone())
        self.patches = torch.nn.Linear(self.backbone.config.hidden_size, CELLS**2)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        rows, columns = (edge // PATCH for edge in pixels.shape[2:])
        tokens = self.backbone(pixels).feature_maps[0][:, 1:]
        cells = self.patches(tokens).unflatten(1, (rows, columns)).unflatten(3, (CELLS, CELLS))
        cells = cells.movedim(3, 2).flatten(3).flatten(1, 2)[:, None]
        # As the decoder enlarges them.
        return torch.nn.functional.interpolate(cells, scale_factor=2, mode="bilinear", align_corners=True)[:, 0]


class Trainer:
    """The network, its optimiser, and the average of its weights."""

    def __init__(self, resume: Path | None):
        torch.manual_seed(SEED)
        self.network = Network().train()
        self.optimiser = torch.optim.AdamW(self.network.parameters(), lr=_RATE, weight_decay=0.01)
        self.mean = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
        self.step, self.seconds, self.losses = 0, 0.0, []
        if resume:
            state = torch.load(resume, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.mean, self.losses = state["mean"], list(state["losses"])
            self.step, self.seconds = state["step"], state["seconds"]

    def run(self, minutes: float, out: Path) -> None:
        """Train for ``minutes``, the rate falling to nothing."""
        photos, generator = load_photos(TRAINING_PHOTOS), random.Random(f"{SEED} {self.step}")
        torch.manual_seed(SEED + self.step)
        began = saved = time.monotonic()
        first, before, recent = self.step, self.seconds, []
        while (part := (time.monotonic() - began) / (60 * minutes)) < 1:
            warm = min(1.0, (self.step - first + 1) / _WARM_UP)
            self.optimiser.param_groups[0]["lr"] = _RATE * warm * (0.5 + 0.5 * math.cos(math.pi * part))
            recent.append(self.learn(*make_batch(generator, photos, generator.choice(_SHAPES), _BATCH)))
            self.seconds = before + time.monotonic() - began
            if len(recent) == 50:
                self.losses.append((self.step, sum(recent) / len(recent)))
                print(f"{self.seconds:6.0f} s  step {self.step}  loss {self.losses[-1][1]:.4f}", flush=True)
                recent = []
            if time.monotonic() - saved > _SAVE_EVERY:
                saved = time.monotonic()
                self.save(out)
        self.save(out)

    def learn(self, pixels: torch.Tensor, near: torch.Tensor) -> float:
        """One step; returns its loss."""
        with torch.autocast("cpu", torch.bfloat16):
            loss = error_of(self.network(pixels), near)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(_EMA, self.step / (self.step + 10))
        for name, tensor in self.network.state_dict().items():
            self.mean[name].lerp_(tensor, 1 - keep)
        return float(loss.detach())

    def save(self, out: Path) -> None:
        state = {"network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(), "mean": self.mean}
        state |= {"step": self.step, "seconds": self.seconds, "losses": self.losses}
        torch.save(state, out / "depth.pt.part")
        (out / "depth.pt.part").replace(out / "depth.pt")
        save_file({name: tensor.half().contiguous() for name, tensor in self.mean.items()}, out / "depth.safetensors")
        with (out / "loss.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("step", "loss"), *self.losses])


def held_out(folder: Path, count: int = 200) -> tuple[list[float], list[Image.Image]]:
    """Held-out pictures through the node's code: the overlap (intersection over union) of the silhouettes, all of a
    picture's together; and picture, true and found map of each."""
    photos, generator = load_photos(HELD_OUT_PHOTOS), random.Random(SEED)
    model = depth_anything.load(folder)
    overlaps, tiles = [], []
    while len(overlaps) < count:
        picture, near = make_example(generator, photos, (2 * SIZE, 2 * SIZE))
        if near.max() < 0.1:
            continue
        image = torch.from_numpy(np.asarray(picture, np.float32) / 255)[None]
        found = depth_anything.depth_maps(model, image)[0, ..., 0].numpy()
        true = near / near.max()
        one, other = true > _NEAR, found > _NEAR
        overlaps.append(float((one & other).sum() / (one | other).sum()))
        grey = [np.repeat(np.uint8(255 * levels)[..., None], 3, 2) for levels in (true, found)]
        tiles.append(Image.fromarray(np.concatenate([picture, *grey], 1)).reduce(3))
    return overlaps, tiles


def _sheet(tiles: Sequence[Image.Image], columns: int = 5) -> Image.Image:
    width, height = tiles[0].size
    sheet = Image.new("RGB", (columns * (width + 6), math.ceil(len(tiles) / columns) * (height + 6)), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (place % columns * (width + 6), place // columns * (height + 6)))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=25, help="how long to train; 0 measures only")
    parser.add_argument("--out", type=Path, required=True, help="folder for the state, the curve and the sheet")
    parser.add_argument("--resume", type=Path, help="a depth.pt to go on from")
    parser.add_argument("--install", action="store_true", help="put the weights where the product reads them")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    weights = chosen.out / "depth.safetensors"
    if chosen.minutes:
        Trainer(chosen.resume).run(chosen.minutes, chosen.out)
    with tempfile.TemporaryDirectory() as folder:
        overlaps, tiles = held_out(trained_depth.save(Path(folder), weights))
    print(f"200 held-out pictures: silhouettes overlap by {np.mean(overlaps):.3f}, worst twentieth "
          f"{np.quantile(overlaps, 0.05):.3f}")  # fmt: skip
    _sheet(tiles[:50]).save(chosen.out / "sheet.png")
    if chosen.install:
        trained_depth.WEIGHTS.write_bytes(weights.read_bytes())


if __name__ == "__main__":
    main()
