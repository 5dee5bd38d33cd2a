"""Train the painter: ``python -m demo.painter --out FOLDER --minutes 45 [--resume FOLDER/painter.pt]``.

Noise prediction on pairs of the toy world, first on small crops, then on those of the product's size. Two things are
not in every diffusion recipe:

- *Drift.* Guidance pulls a sample beyond the colours that there are, and ComfyUI begins with the old picture under
  the noise. So a part of the noisy latents is moved by up to two deviations of the noise, away from a random colour
  or towards the old picture, and the network has to say that all of this is noise. It learns to lead back, and that
  makes guidance of 7.5 harmless.
- *Weights.* An error counts as it does in the predicted picture, up to a noise level of 12; at low levels it counts
  more, since nothing comes after them that would mend it.

Writes painter.pt (the state, every two minutes), loss.csv, sheet.png (held-out crops) and painter.safetensors (what
``runner/demo/weights`` holds) into the folder.
"""

import argparse
import csv
import math
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file

from .painter_net import Painter, initialise
from .painter_pairs import SCALE, collate, make_pair
from .painter_sampling import SIGMAS, evaluate, make_sheet
from .world import HELD_OUT_PHOTOS, TRAINING_PHOTOS, load_photos

RATE = 2e-3
_SAVE_EVERY = 120.0
_LOG_EVERY = 100
_WARM_UP = 100
# Standard deviation of the latents: a quarter of the range of brightness.
_SPREAD = SCALE / 4
_HIGHEST_WEIGHTED = 12.0
_LEAST_WEIGHT = 1.0
_RHO = 7.0

# (until this part of the time, sizes in cells, crops in a batch)
SCHEDULE = (
    (0.30, ((16, 16),), 16),
    (0.45, ((24, 24), (16, 24), (24, 16)), 8),
    (1.01, ((32, 32), (32, 32), (32, 32), (24, 32), (32, 24), (24, 24)), 6),
)


@dataclass
class Trainer:
    painter: Painter
    optimiser: torch.optim.Optimizer
    mean: dict[str, torch.Tensor]
    step: int = 0
    seconds: float = 0.0
    losses: list[tuple[int, float, float]] = field(default_factory=list)

    def state(self) -> dict:
        return {
            "painter": self.painter.state_dict(),
            "mean": self.mean,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses,
        }


def make_trainer(seed: int, resume: Path | None = None) -> Trainer:
    painter = initialise(Painter(), seed)
    matrices = [tensor for tensor in painter.parameters() if tensor.ndim > 1]
    vectors = [tensor for tensor in painter.parameters() if tensor.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.01}, {"params": vectors, "weight_decay": 0.0}]
    trainer = Trainer(painter, torch.optim.AdamW(groups, RATE, betas=(0.9, 0.99)), {})
    if resume:
        state = torch.load(resume, weights_only=True)
        painter.load_state_dict(state["painter"])
        trainer.optimiser.load_state_dict(state["optimiser"])
        trainer.step, trainer.seconds, trainer.losses = state["step"], state["seconds"], list(state["losses"])
        trainer.mean = state["mean"]
    else:
        trainer.mean = {name: tensor.clone() for name, tensor in painter.state_dict().items()}
    return trainer


def noisy(batch: dict[str, torch.Tensor], timesteps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(what the UNet is given ``[N,9,h,w]``, the noise it has to find ``[N,4,h,w]``), drift included."""
    clean, mask = batch["after"], batch["mask"]
    count = len(clean)
    sigma = SIGMAS[timesteps].view(-1, 1, 1, 1)
    noise = torch.randn(clean.shape)
    # What guidance does: away from what one would paint without the wish.
    other = SCALE * (0.45 + 0.2 * torch.randn(count, 3, 1, 1) - 0.5)
    drift = torch.zeros_like(clean)
    strength = 5 * torch.rand(count, 1, 1, 1) ** 1.5 * (torch.rand(count, 1, 1, 1) < 0.5)
    drift[:, :3] = strength * (clean[:, :3] - other) * batch["touched"]
    old = (torch.rand(count, 1, 1, 1) < 0.15).float()
    drift = torch.lerp(drift, batch["before"] - clean, old) * mask
    drift = torch.maximum(torch.minimum(drift, 2 * sigma), -2 * sigma)
    noise = noise + drift / sigma
    scaled = (clean + sigma * noise) / (1 + sigma**2).sqrt()
    return torch.cat([scaled, mask, batch["before"] * (1 - mask)], 1), noise


def noise_levels(places: torch.Tensor) -> torch.Tensor:
    """Timesteps for ``places`` in 0..1, low noise first: as often as Karras' schedule, which the product samples by,
    comes to them (Karras et al. 2022, equation 5). Evenly drawn, hardly one would have as little noise as the last
    steps."""
    least, most = float(SIGMAS[0]), float(SIGMAS[-1])
    sigmas = (least ** (1 / _RHO) + places * (most ** (1 / _RHO) - least ** (1 / _RHO))) ** _RHO
    return torch.searchsorted(SIGMAS, sigmas).clamp(max=999)


def error_weights(batch: dict[str, torch.Tensor], timesteps: torch.Tensor) -> torch.Tensor:
    """What a squared error counts, ``[N,1,h,w]``."""
    sigma = SIGMAS[timesteps].clamp(max=_HIGHEST_WEIGHTED).view(-1, 1, 1, 1)
    return (1 + 2 * batch["mask"]) * (_LEAST_WEIGHT + (sigma / _SPREAD) ** 2) / 100


def learn(trainer: Trainer, batch: dict[str, torch.Tensor]) -> tuple[float, float]:
    """One step; returns its loss and by how much the colours inside the mask are missed, in levels of 0..1."""
    count = len(batch["after"])
    places = (torch.randperm(count) + torch.rand(count)) / count
    timesteps = noise_levels(places)
    inputs, noise = noisy(batch, timesteps)
    with torch.autocast("cpu", torch.bfloat16, enabled=inputs.shape[-1] > 16):
        found = trainer.painter(inputs, timesteps, batch["words"])
    error = (found.float() - noise) ** 2
    loss = (error * error_weights(batch, timesteps)).mean()
    trainer.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(trainer.painter.parameters(), 1.0)
    trainer.optimiser.step()
    trainer.step += 1
    keep = min(0.998, (1 + trainer.step) / (20 + trainer.step))
    with torch.no_grad():
        for name, tensor in trainer.painter.state_dict().items():
            trainer.mean[name].lerp_(tensor, 1 - keep)
    return float(loss.detach()), _missed(found.detach().float() - noise, batch, timesteps)


def _missed(error: torch.Tensor, batch: dict[str, torch.Tensor], timesteps: torch.Tensor) -> float:
    """Root mean square of the error of a thing's mean colour, where noise leaves it to the wish to say it."""
    level = SIGMAS[timesteps]
    asked = (level > 3) & (level < 14) & (batch["words"].sum((1, 2)) > 0)
    touched = batch["touched"]
    means = (error * touched).sum((2, 3))[:, :3] / touched.sum((2, 3)) * level[:, None] / SCALE
    return float(means[asked].square().mean().sqrt()) if asked.any() else 0.0


def train(trainer: Trainer, minutes: float, folder: Path, seed: int, start: float = 0.0) -> None:
    """For ``minutes``, from part ``start`` of the schedule on: the rate falls to zero over what is left of it."""
    photos = load_photos(TRAINING_PHOTOS)
    generator = random.Random(f"painter {seed} {trainer.step}")
    torch.manual_seed(seed + trainer.step)
    began, saved, before = time.monotonic(), time.monotonic(), trainer.seconds
    recent: list[tuple[float, float]] = []
    while True:
        elapsed = time.monotonic() - began
        part = start + (1 - start) * elapsed / (60 * minutes)
        if part >= 1:
            break
        rate = RATE * min(1.0, (trainer.step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * part)) + 1e-6
        for group in trainer.optimiser.param_groups:
            group["lr"] = rate
        _, sizes, count = next(row for row in SCHEDULE if part < row[0])
        size = generator.choice(sizes)
        batch = collate([make_pair(generator, size, photos) for _ in range(count)])
        recent.append(learn(trainer, batch))
        trainer.seconds = before + time.monotonic() - began
        if len(recent) == _LOG_EVERY:
            loss, error = (sum(column) / len(recent) for column in zip(*recent, strict=True))
            trainer.losses.append((trainer.step, loss, error))
            print(
                f"{trainer.seconds:6.0f} s  step {trainer.step}  loss {loss:.4f}  colour missed by {error:.3f}",
                flush=True,
            )
            recent.clear()
        if time.monotonic() - saved > _SAVE_EVERY:
            save(trainer, folder)
            saved = time.monotonic()
    save(trainer, folder)


def save(trainer: Trainer, folder: Path) -> None:
    draft = folder / "painter.pt.part"
    torch.save(trainer.state(), draft)
    draft.replace(folder / "painter.pt")
    with (folder / "loss.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("step", "loss", "colour missed by"), *trainer.losses])


def export(state: dict, path: Path) -> None:
    """The averaged weights of a saved state, in float16, as ``runner.demo.trained_painter`` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.half().contiguous() for name, tensor in state["mean"].items()}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the state, the loss curve and the sheet")
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--resume", type=Path, help="a painter.pt to go on from")
    parser.add_argument("--start", type=float, default=0.0, help="part of the schedule to begin with, 0..1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=64, help="held-out crops for the figures at the end")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    trainer = make_trainer(chosen.seed, chosen.resume)
    train(trainer, chosen.minutes, chosen.out, chosen.seed, chosen.start)
    painter = Painter()
    painter.load_state_dict(trainer.mean)
    photos = load_photos(HELD_OUT_PHOTOS)
    print(evaluate(painter, photos, chosen.cases))
    make_sheet(painter, photos).save(chosen.out / "sheet.png")
    export(trainer.state(), chosen.out / "painter.safetensors")


if __name__ == "__main__":
    main()
