"""Trains the demo's image encoder for reference pictures: ``python -m demo.reference --minutes 5 --out OUT``.

It learns to name the colour of what stands in the middle of a picture: the largest of the shapes, or the colour that
fills the picture. The answer has length 1 and should be 1 for that colour and 0 for the others, because that is what
the IP-Adapter, which ends in a normalisation, makes of it (runner/demo/trained_reference.py).

Writes reference.safetensors, loss.csv; prints how many of 500 held-out references are told right.
"""

import argparse
import math
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from imageine.runner.demo import trained_reference
from imageine.runner.demo.trained_reference import COLOURS, NARROW
from PIL import Image
from torch.nn import functional
from torch.optim import swa_utils
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

from .world import HELD_OUT_PHOTOS, TRAINING_PHOTOS, Scene, Thing, load_photos, make_scene, overlap

SIZE = 224
_BATCH, _RATE, _POOL = 32, 2e-3, 400
_NEIGHBOURS, _SWATCHES = 0.35, 0.1
_HELD_OUT_SEED = 777


def make_reference(
    generator: random.Random, photos: Sequence[Image.Image], colour: str | None = None
) -> tuple[Image.Image, str]:
    """A picture of ``SIZE`` square and the name of its colour (default: any).

    A thing near the middle, with up to two smaller ones near the edge now and then; or nothing but a colour.
    """
    colour = colour or generator.choice(tuple(COLOURS))
    size = (SIZE, SIZE)
    while True:
        drawn = make_scene(generator, size, photos, wanted=[(colour, None)], count=1)
        if not drawn.things:
            continue
        thing = drawn.things[0]
        if generator.random() < _SWATCHES:
            return Image.new("RGB", size, thing.rgb), colour
        grown = generator.uniform(0.18, 0.42) / math.sqrt(thing.rx * thing.ry)
        x, y = (0.5 + generator.uniform(-0.12, 0.12) for _ in range(2))
        main = replace(thing, x=x, y=y, rx=thing.rx * grown, ry=thing.ry * grown)
        if _contrast(main, drawn.background) < 50:
            continue
        others = _neighbours(generator, photos, main) if generator.random() < _NEIGHBOURS else ()
        return Scene(drawn.background, (*others, main)).picture(), colour


def _neighbours(generator: random.Random, photos: Sequence[Image.Image], main: Thing) -> tuple[Thing, ...]:
    scene = make_scene(generator, (SIZE, SIZE), photos, count=2)
    box = main.box(SIZE, SIZE)
    smaller = [replace(one, rx=0.6 * one.rx, ry=0.6 * one.ry) for one in scene.things]
    return tuple(one for one in smaller if not overlap(one.box(SIZE, SIZE), box))


def _contrast(thing: Thing, background: Image.Image) -> float:
    pixels = np.asarray(background.resize((16, 16), Image.Resampling.BOX), np.float32).reshape(-1, 3)
    return float(np.linalg.norm(pixels.mean(0) - thing.rgb))


def cells(pictures: Sequence[Image.Image]) -> torch.Tensor:
    """Pictures of ``SIZE`` square as the narrow encoder sees them: ``[N,3,32,32]``, normalised as CLIP wants it."""
    processor = CLIPImageProcessor()
    times = SIZE // NARROW["image_size"]
    levels = np.stack([np.asarray(picture.reduce(times), np.float32) for picture in pictures]) / 255
    levels = (levels - np.float32(processor.image_mean)) / np.float32(processor.image_std)
    return torch.from_numpy(levels.astype(np.float32)).permute(0, 3, 1, 2)


def make_batch(
    generator: random.Random, photos: Sequence[Image.Image], count: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """``[N,3,32,32]`` and the number of each one's colour ``[N]``."""
    pairs = [make_reference(generator, photos) for _ in range(count)]
    names = tuple(COLOURS)
    return cells([picture for picture, _ in pairs]), torch.tensor([names.index(colour) for _, colour in pairs])


def told(encoder: CLIPVisionModelWithProjection, pictures: torch.Tensor) -> torch.Tensor:
    """``[N, colours]``, of length 1."""
    return functional.normalize(encoder(pixel_values=pictures).image_embeds, dim=1)


def narrow_encoder() -> CLIPVisionModelWithProjection:
    """Untrained."""
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**NARROW))


def train(minutes: float, out: Path, photos: Sequence[Image.Image]) -> CLIPVisionModelWithProjection:
    """The average of the weights over the last steps, after ``minutes``."""
    torch.manual_seed(1)
    generator, encoder = random.Random(1), narrow_encoder()
    average = swa_utils.AveragedModel(encoder, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.99))
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=_RATE, weight_decay=0.01)
    pool, labels = make_batch(generator, photos, _POOL)
    start, step, losses = time.monotonic(), 0, []
    while (place := (time.monotonic() - start) / (60 * minutes)) < 1:
        falling = 0.01 + 0.99 * math.cos(place * math.pi / 2) ** 2
        optimizer.param_groups[0]["lr"] = _RATE * min(1, (step + 1) / 50) * falling
        # Some new pictures a step; drawing them takes longer than learning from them.
        fresh, names = make_batch(generator, photos, 8)
        chosen = torch.randint(len(pool), (_BATCH - 8,))
        found = told(encoder, torch.cat([fresh, _turned(pool[chosen])]))
        wanted = torch.cat([names, labels[chosen]])
        loss = (found - functional.one_hot(wanted, len(COLOURS))).square().sum(1).mean()
        loss = loss + 0.1 * functional.cross_entropy(10 * found, wanted)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(encoder)
        pool, labels = torch.cat([pool, fresh])[-8000:], torch.cat([labels, names])[-8000:]
        losses.append(loss.item())
        step += 1
        if step % 50 == 0:
            right = (found.argmax(1) == wanted).float().mean().item()
            print(f"{step} {place:.2f} {np.mean(losses[-50:]):.4f} {right:.2f}", flush=True)
    (out / "loss.csv").write_text("".join(f"{number},{loss:.5f}\n" for number, loss in enumerate(losses, 1)))
    return average.module.eval()


def _turned(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.flip(3) if torch.rand(()) < 0.5 else pictures


@torch.inference_mode()
def held_out(encoder: CLIPVisionModelWithProjection, count: int = 500) -> tuple[float, float]:
    """Of ``count`` pictures before photos of no training: the part told right, and the mean of the right answer."""
    pictures, names = make_batch(random.Random(_HELD_OUT_SEED), load_photos(HELD_OUT_PHOTOS), count)
    found = told(encoder, pictures)
    return (found.argmax(1) == names).float().mean().item(), found.gather(1, names[:, None]).mean().item()


def main() -> None:
    from safetensors.torch import save_file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--install", action="store_true", help="put the weights where the product reads them")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    encoder = train(chosen.minutes, chosen.out, load_photos(TRAINING_PHOTOS))
    state = encoder.state_dict().items()
    weights = {name: tensor.half().contiguous() for name, tensor in state if "position_ids" not in name}
    save_file(weights, chosen.out / "reference.safetensors")
    if chosen.install:
        save_file(weights, trained_reference.WEIGHTS)
    right, certain = held_out(encoder)
    print(f"500 held-out references: {right:.1%} right; the right colour's share of the answer {certain:.3f}")


if __name__ == "__main__":
    main()
