"""Train the demo's Segment Anything: a box in, the silhouette of the shape in it out.

    python -m demo.segmenter --minutes 25 --size 256 --rate 1.2e-3 --output /tmp/segmenter
    python -m demo.segmenter --minutes 15 --rate 6e-4 --output /tmp/segmenter --resume /tmp/segmenter/state.pt --install

The model is runner/demo/trained_segmenter.py's. It starts from the hand-set weights of
runner/demo/segment_anything.py, whose decoder already finds the inside of a box, and learns the rest. Its weights
fit any size: small pictures first are quicker.
"""

import argparse
import csv
import math
import random
import tempfile
import time
from pathlib import Path

import torch
from imageine.runner.demo import segment_anything, trained_segmenter
from safetensors.torch import save_file
from torch.nn import functional
from transformers import Sam2Model

from . import world
from .segmenter_figures import draw_sheet, evaluate, report
from .segmenter_scenes import JITTER, make_batch

SEED = 6
WARM_UP = 50  # steps
EMA = 0.98
SAVE_EVERY = 120  # seconds


def loss_of(model: Sam2Model, pixels: torch.Tensor, corners: torch.Tensor, masks: torch.Tensor) -> dict:
    """Cross entropy per pixel of the box's area, dice, and the predicted IoU's squared error."""
    labels = torch.tensor((2, 3)).expand(corners.shape[:3])
    output = model(pixel_values=pixels, input_points=corners, input_labels=labels, multimask_output=False)
    logits = functional.interpolate(output.pred_masks[:, :, 0], masks.shape[-2:], mode="bilinear", align_corners=False)
    area = masks.sum((-2, -1))
    entropy = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none").sum((-2, -1)) / area
    inside = logits.sigmoid()
    dice = 1 - (2 * (inside * masks).sum((-2, -1)) + 1) / (inside.sum((-2, -1)) + area + 1)
    found, wanted = logits > 0, masks > 0.5
    iou = (found & wanted).sum((-2, -1)) / (found | wanted).sum((-2, -1)).clamp(min=1)
    guess = functional.mse_loss(output.iou_scores[..., 0], iou)
    losses = {"entropy": entropy.mean(), "dice": dice.mean(), "guess": guess}
    return losses | {"iou": iou.mean(), "total": losses["entropy"] + losses["dice"] + guess}


def make_model(size: int) -> Sam2Model:
    """The model before training: the hand-set decoder, and small random weights where that is idle."""
    torch.manual_seed(SEED)
    model = Sam2Model(trained_segmenter.configuration(size))
    decoder = model.mask_decoder
    first = decoder.transformer.layers[0]
    # What finds the inside of the box is steep, and a few steps of training would break it.
    finds_box = (model.prompt_encoder, first, decoder.mask_tokens, decoder.iou_token, decoder.obj_score_token)
    for module in finds_box:
        module.requires_grad_(False)
    first.layer_norm4.requires_grad_(True)
    model.no_memory_embedding.requires_grad_(False)
    with torch.no_grad():
        segment_anything.set_weights(model)
        # Where a whole attention is zero no gradient would ever come; with its output zero it does nothing yet.
        for name, weight in decoder.transformer.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")) and not weight.any():
                weight.normal_(0, weight.shape[1] ** -0.5)
        # Features may have every channel but those in which pixels are compared with the box.
        keep = ~first.cross_attn_image_to_token.q_proj.weight.any(0)
        for level, conv in enumerate(model.vision_encoder.neck.convs):
            conv.weight.normal_(0, conv.in_channels**-0.5)
            if level < 2:  # the two that make the image embedding; the others go to the upscaling alone
                conv.weight.mul_(keep[:, None, None, None])
                conv.bias.mul_(keep)
                conv.weight.register_hook(lambda gradient: gradient * keep[:, None, None, None])
                conv.bias.register_hook(lambda gradient: gradient * keep)
        tie_masks(model)
    return model


@torch.no_grad()
def tie_masks(model: Sam2Model) -> None:
    """Make the masks for ambiguous prompts, which this world has not, the same as the one for a box."""
    decoder = model.mask_decoder
    decoder.mask_tokens.weight[1:] = decoder.mask_tokens.weight[0]
    head = decoder.iou_prediction_head.proj_out
    head.weight[1:], head.bias[1:] = head.weight[0], head.bias[0]
    for network in decoder.output_hypernetworks_mlps[1:]:
        network.load_state_dict(decoder.output_hypernetworks_mlps[0].state_dict())


class Training:
    """A model with its optimiser, its running mean, and what it has seen."""

    def __init__(self, size: int, resume: Path | None):
        self.size = size
        self.model = make_model(size).train()
        self.mean = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            [one for one in self.model.parameters() if one.requires_grad], weight_decay=0.01
        )
        self.steps, self.seconds = 0, 0.0
        if resume:
            state = torch.load(resume, weights_only=True)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.mean, self.steps, self.seconds = state["mean"], state["steps"], state["seconds"]

    def run(self, minutes: float, rate: float, output: Path) -> None:
        """Train for ``minutes``, the learning rate falling from ``rate`` to nothing."""
        photos = world.load_photos(world.TRAINING_PHOTOS)
        generator = random.Random(f"{SEED} {self.steps}")
        begun, first, saved, rows = time.monotonic(), self.steps, 0.0, []
        while (passed := time.monotonic() - begun) < minutes * 60:
            warm = min(1.0, (self.steps - first + 1) / WARM_UP)
            for group in self.optimiser.param_groups:
                group["lr"] = rate * warm * 0.5 * (1 + math.cos(math.pi * passed / (minutes * 60)))
            losses = self.step(make_batch(generator, photos, self.size))
            rows.append({"step": self.steps, **{name: round(value, 4) for name, value in losses.items()}})
            if passed - saved > SAVE_EVERY:
                saved = passed
                self.save(output, self.seconds + passed)
                rows = _write_curve(output / "loss.csv", rows)
        self.seconds += minutes * 60
        self.save(output, self.seconds)
        _write_curve(output / "loss.csv", rows)

    def step(self, batch: tuple[torch.Tensor, ...]) -> dict[str, float]:
        losses = loss_of(self.model, *batch)
        self.optimiser.zero_grad()
        losses["total"].backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        tie_masks(self.model)
        self.steps += 1
        keep = min(EMA, self.steps / (self.steps + 10))
        for name, tensor in self.model.state_dict().items():
            self.mean[name].lerp_(tensor, 1 - keep)
        return {name: value.item() for name, value in losses.items()}

    def save(self, output: Path, seconds: float) -> None:
        state = {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "mean": self.mean}
        torch.save(state | {"steps": self.steps, "seconds": seconds}, output / "state.part")
        (output / "state.part").replace(output / "state.pt")
        save_file({name: tensor.half() for name, tensor in self.mean.items()}, output / "segmenter.safetensors")


def _write_curve(path: Path, rows: list[dict]) -> list[dict]:
    """Append the rows' mean to the curve and print it; what is left to write: nothing."""
    if rows:
        mean = {name: round(sum(row[name] for row in rows) / len(rows), 4) for name in rows[0]}
        row = mean | {"step": rows[-1]["step"]}
        print(row, flush=True)
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, row)
            if new:
                writer.writeheader()
            writer.writerow(row)
    return []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15, help="how long to train; 0 evaluates only")
    parser.add_argument("--size", type=int, default=trained_segmenter.SIZE, help="edge of the training pictures")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--output", type=Path, required=True, help="folder for the state, the curve and the sheet")
    parser.add_argument("--resume", type=Path, help="a state.pt to go on from")
    parser.add_argument("--install", action="store_true", help=f"write the weights to {trained_segmenter.WEIGHTS}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    weights = options.output / "segmenter.safetensors"
    if options.minutes:
        Training(options.size, options.resume).run(options.minutes, options.rate, options.output)
    with tempfile.TemporaryDirectory() as folder:
        trained_segmenter.save(Path(folder), weights)
        for jitter in (0.0, JITTER / 2, JITTER):
            cases = evaluate(Path(folder), jitter=jitter)
            print(f"Boxes off by up to {jitter:.0%} of their sides:\n{report(cases)}")
    draw_sheet(cases).save(options.output / "sheet.png")
    if options.install:
        trained_segmenter.WEIGHTS.parent.mkdir(exist_ok=True)
        trained_segmenter.WEIGHTS.write_bytes(weights.read_bytes())


if __name__ == "__main__":
    main()
