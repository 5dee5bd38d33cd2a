"""Sampling with the narrow painter as ComfyUI does with the wide one, and what comes of it on held-out crops."""

import random
from collections.abc import Sequence

import numpy as np
import torch
from imageine.runner.engines.embedded.sampling import Settings, schedule
from PIL import Image

from .painter_net import Painter
from .painter_pairs import SCALE, Pair, collate, make_pair, one_hot
from .scoring import nearest_colour
from .world import COLOURS, SHAPES

STEPS, GUIDANCE = 25, 7.5


def _noise_levels() -> torch.Tensor:
    """Of the 1000 timesteps of Stable Diffusion 1.5."""
    kept = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
    return ((1 - kept) / kept).sqrt().float()


SIGMAS = _noise_levels()


@torch.inference_mode()
def sample(
    painter: Painter,
    batch: dict[str, torch.Tensor],
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    seed: int = 0,
) -> torch.Tensor:
    """DPM++ 2M on Karras' schedule, with the old picture kept outside the mask: ``[N,3,h,w]`` in 0..1.

    Lu et al. 2022, "DPM-Solver++", algorithm 2, in the variance exploding form.
    """
    photo, mask = batch["before"], batch["mask"]
    sigmas, timesteps = schedule(Settings(seed, steps, guidance, "dpmpp_2m", "karras"))
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(seed))
    sample = photo + noise * (1 + sigmas[0] ** 2).sqrt()
    fixed = torch.cat([mask, photo * (1 - mask)], 1)
    nothing = torch.zeros_like(batch["words"])
    last = None
    for place, timestep in enumerate(timesteps):
        sigma, following = sigmas[place], sigmas[place + 1]
        sample = sample * mask + (photo + noise * sigma) * (1 - mask)
        inputs = torch.cat([sample / (1 + sigma**2).sqrt(), fixed], 1)
        times = timestep.expand(len(inputs))
        asked, free = (painter(inputs, times, words) for words in (batch["words"], nothing))
        clean = sample - sigma * (free + guidance * (asked - free))
        clean = clean * mask + photo * (1 - mask)
        extrapolated = clean
        if last is not None and following > 0:
            ratio = (sigma / following).log() / (sigmas[place - 1] / sigma).log()
            extrapolated = clean + (clean - last) * (ratio / 2)
        sample = following / sigma * sample + (1 - following / sigma) * extrapolated
        last = clean
    return (sample[:, :3] / SCALE + 0.5).clamp(0, 1)


def make_cases(photos: Sequence[Image.Image], count: int, cells: tuple[int, int] = (32, 32), seed: int = 4242):
    """Held-out crops: plain repaints of every colour and shape in turn, the colour another than before."""
    generator = random.Random(seed)
    names = [(colour, shape) for shape in SHAPES for colour in COLOURS]
    cases: list[Pair] = []
    while len(cases) < count:
        pair = make_pair(generator, cells, photos)
        colour, shape = names[len(cases) % len(names)]
        if not pair.thing or pair.thing.pattern or not pair.thing.shape == pair.old.shape == shape:
            continue
        if pair.thing.colour == colour != pair.old.colour:
            pair.words = (colour, shape)
            cases.append(pair)
    return cases


def evaluate(painter: Painter, photos: Sequence[Image.Image], count: int, **options) -> dict[str, float]:
    """Parts of ``count`` held-out crops: ``colour`` right, right of a prompt shuffled (``chance``), ``removed``."""
    cases = make_cases(photos, count)
    right = chance = removed = 0
    for start in range(0, count, 16):
        part = cases[start : start + 16]
        batch = collate(part)
        pictures = sample(painter, batch, **options).numpy()
        empty = dict(batch, words=one_hot([("background",)] * len(part)))
        wiped = sample(painter, empty, **options).numpy()
        for place, case in enumerate(part):
            found = painted_colour(pictures[place], case)
            right += found == case.thing.colour
            chance += found == cases[(start + place + 7) % count].thing.colour
            removed += is_removed(wiped[place], case)
    return {"colour": right / count, "chance": chance / count, "removed": removed / count}


def painted_colour(picture: np.ndarray, case: Pair) -> str:
    """Of the middle of what was painted: the inner half of the thing."""
    height, width = picture.shape[1:]
    inside = np.asarray(case.old.mask(8 * width, 8 * height, 0.6).reduce(8), np.float32) / 255
    return nearest_colour(255 * (picture * inside).sum((1, 2)) / inside.sum())


def is_removed(picture: np.ndarray, case: Pair) -> bool:
    """Whether the place of the thing is nearer to the background there than to every colour that a thing has."""
    height, width = picture.shape[1:]
    inside = np.asarray(case.old.mask(8 * width, 8 * height).reduce(8), np.float32) / 255
    behind = np.asarray(case.scene.background.resize((width, height), Image.Resampling.BOX), np.float32) / 255

    def distance(other: np.ndarray) -> float:
        return float(((picture - other) ** 2 * inside).sum())

    things = [np.array(rgb, np.float32).reshape(3, 1, 1) / 255 for rgb in COLOURS.values()]
    return distance(behind.transpose(2, 0, 1)) < min(map(distance, things))


def make_sheet(painter: Painter, photos: Sequence[Image.Image], **options) -> Image.Image:
    """Rows of four: a held-out crop, its masked form, what should come, what came."""
    generator = random.Random(99)
    pairs = [make_pair(generator, (32, 32), photos) for _ in range(24)]
    batch = collate(pairs)
    painted = sample(painter, batch, **options).numpy()
    columns = []
    for pair, picture in zip(pairs, painted, strict=True):
        hidden = pair.before * (1 - pair.mask) + 0.5 * pair.mask
        columns.append(np.concatenate([pair.before, hidden, pair.after, picture], 1))
    rows = [np.concatenate(columns[start : start + 12], 2) for start in (0, 12)]
    levels = (np.concatenate(rows, 1).transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8)
    sheet = Image.fromarray(levels)
    return sheet.resize((sheet.width * 4, sheet.height * 4), Image.Resampling.NEAREST)
