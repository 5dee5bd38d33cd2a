"""Train the demo's Grounding DINO: a picture of coloured shapes and a phrase in, the boxes of what it names out.

    python -m demo.finder --minutes 50 --warm 0.12 --output /tmp/finder
    python -m demo.finder --minutes 18 --rate 6e-4 --output /tmp/finder --resume /tmp/finder/state.pt --install

The model is runner/demo/trained_finder.py's. For the first part of the run its backbone alone learns to say which
colour and shape lie at each place; after that everything learns, by the losses of finder_loss.py.
"""

import argparse
import csv
import math
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from imageine.nodes.algorithms.phrase_blocks import use_phrase_blocks
from imageine.runner.demo import trained_finder
from torch import nn
from transformers import GroundingDinoForObjectDetection

from . import finder_figures, finder_loss, finder_scenes, world

SEED = 7
BATCH = 32
RATE, LAST_RATE = 1.5e-3, 0.01
WARM_UP = 100  # steps
EMA = 0.998
SAVE_EVERY = 120  # seconds
KINDS = len(finder_scenes.COLOURS), len(finder_scenes.SHAPES)
# The logit of everything before anything is learnt. It goes through one channel that is constant in the text's
# features, so that a threshold can be moved by adding to one number (``shift``).
PRIOR, CONSTANT = -3.0, 0
_TEXT_SCALE = 0.25  # of the text's features, whose products with the queries' are the logits


@dataclass
class Training:
    """Everything that a run goes on with."""

    model: nn.Module
    kinds: nn.Module  # reads colour and shape off the backbone; not part of the product
    optimizer: torch.optim.Optimizer
    average: dict[str, torch.Tensor]
    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[float, ...]] = field(default_factory=list)


def build() -> GroundingDinoForObjectDetection:
    """The untrained model."""
    torch.manual_seed(SEED)
    model = GroundingDinoForObjectDetection(trained_finder.configuration())
    use_phrase_blocks(model)
    for name, parameter in model.named_parameters():
        if name.endswith(("vision_param", "text_param")):
            nn.init.constant_(parameter, 0.2)  # of 1e-4, with which text and picture would not meet for long
    inner = model.model
    nn.init.normal_(inner.text_backbone.embeddings.word_embeddings.weight, std=0.5)
    text = inner.encoder.layers[-1].text_enhancer_layer.layer_norm_after
    nn.init.constant_(text.weight, _TEXT_SCALE)
    for norm in (inner.decoder.layer_norm, inner.enc_output_norm):
        _fix(norm.weight, CONSTANT, 0.0)
        with torch.no_grad():
            norm.bias[CONSTANT] = PRIOR
    _fix(text.weight, CONSTANT, 0.0)
    _fix(text.bias, CONSTANT, 1.0)
    for head in (model.bbox_embed[0], inner.encoder_output_bbox_embed):
        _fix(head.layers[0].weight, (slice(None), CONSTANT), 0.0)
    return model


def shift(model: nn.Module, logits: float) -> None:
    """Add to the logits of all queries and tokens; boxes stay."""
    with torch.no_grad():
        model.model.decoder.layer_norm.bias[CONSTANT] += logits


def _fix(parameter: nn.Parameter, place, value: float) -> None:
    mask = torch.ones_like(parameter)
    mask[place] = 0
    with torch.no_grad():
        parameter[place] = value
    parameter.register_hook(lambda gradient: gradient * mask)


def losses(training: Training, batch: finder_scenes.Batch, alone: bool) -> tuple[torch.Tensor, ...]:
    """That of colours and shapes; unless the backbone learns ``alone``, the encoder's and each decoder layer's too."""
    model, features = training.model, []
    backbone = model.model.backbone.conv_encoder.model
    hook = backbone.register_forward_hook(lambda module, given, output: features.append(output.feature_maps[0]))
    try:
        with torch.autocast("cpu", torch.bfloat16):
            output = backbone(batch.pixels) if alone else model.model(
                pixel_values=batch.pixels, input_ids=batch.token_ids, attention_mask=batch.attention_mask
            )  # fmt: skip
    finally:
        hook.remove()
    kinds = finder_loss.kind_loss(training.kinds(features[0].float()), batch.kinds, batch.boxes, KINDS)
    if alone:
        return (kinds,)
    length, mask = batch.token_ids.shape[1], batch.attention_mask.bool()
    things = [
        (boxes[tokens.any(1)], tokens[tokens.any(1)]) for boxes, tokens in zip(batch.boxes, batch.positive, strict=True)
    ]
    cells = finder_loss.dense_loss(
        output.enc_outputs_class[..., :length].float(),
        output.enc_outputs_coord_logits.float().sigmoid(),
        mask,
        things,
        tuple(features[0].shape[2:]),
    )
    queries = []
    references = [output.init_reference_points, *output.intermediate_reference_points.unbind(1)]
    for layer, hidden in enumerate(output.intermediate_hidden_states.unbind(1)):
        logits = hidden.float() @ output.encoder_last_hidden_state_text.float().transpose(1, 2)
        boxes = (model.bbox_embed[layer](hidden.float()) + torch.special.logit(references[layer], eps=1e-5)).sigmoid()
        queries.append(finder_loss.set_loss(logits[..., :length], boxes, mask, things))
    return (kinds, cells, *queries)


def start(resume: Path | None) -> Training:
    model = build().train()
    kinds = nn.Conv2d(model.config.backbone_config.hidden_sizes[-1], sum(KINDS) + 1, 1)
    slow = [parameter for name, parameter in model.named_parameters() if "sampling_offsets" in name]
    everything = (*model.parameters(), *kinds.parameters())
    rest = [parameter for parameter in everything if all(parameter is not other for other in slow)]
    groups = [
        {"params": [one for one in rest if one.ndim > 1], "weight_decay": 1e-3, "factor": 1.0},
        {"params": [one for one in rest if one.ndim < 2], "weight_decay": 0.0, "factor": 1.0},
        {"params": slow, "weight_decay": 0.0, "factor": 0.1},
    ]
    training = Training(model, kinds, torch.optim.AdamW(groups, RATE, betas=(0.9, 0.98)), {})
    training.average = {name: one.detach().clone() for name, one in model.named_parameters()}
    if resume:
        state = torch.load(resume, weights_only=True)
        model.load_state_dict(state["model"])
        kinds.load_state_dict(state["kinds"])
        if state["optimizer"]:
            training.optimizer.load_state_dict(state["optimizer"])
        training.average = state["average"]
        training.step, training.seconds, training.curve = state["step"], state["seconds"], state["curve"]
    return training


def save(training: Training, folder: Path) -> None:
    """The state to resume from, the averaged weights as the product stores them, and the loss curve."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: getattr(training, name) for name in ("average", "step", "seconds", "curve")}
    parts = {name: getattr(training, name).state_dict() for name in ("model", "kinds", "optimizer")}
    torch.save(state | parts, folder / "state.part")
    (folder / "state.part").replace(folder / "state.pt")
    with (folder / "loss.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("step", "minutes", "kinds", "cells", "queries 1", "queries 2"), *training.curve])
    trained_finder.store(averaged(training), folder / "finder.safetensors")


def averaged(training: Training) -> GroundingDinoForObjectDetection:
    """A model of the averaged weights."""
    model = build().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(training.average[name])
    return model


def advance(training: Training, batch: finder_scenes.Batch, rate: float, alone: bool) -> list[float]:
    """One step."""
    for group in training.optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    parts = losses(training, batch, alone)
    training.optimizer.zero_grad()
    sum(parts).backward()
    nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
    training.optimizer.step()
    training.step += 1
    keep = min(EMA, (1 + training.step) / (10 + training.step))
    with torch.no_grad():
        for name, parameter in training.model.named_parameters():
            training.average[name].lerp_(parameter, 1 - keep)
    return [part.item() for part in parts]


def train(training: Training, photos: list, minutes: float, warm: float, folder: Path, rate: float) -> None:
    """Learn for ``minutes`` of wall-clock time, the first part ``warm`` of them the backbone alone."""
    generator = random.Random(SEED + training.step)
    begin = saved = time.monotonic()
    before, first, sums = training.seconds, training.step, []
    while (done := (time.monotonic() - begin) / 60 / minutes) < 1:
        falling = 0.5 * (1 + math.cos(math.pi * done)) * (1 - LAST_RATE) + LAST_RATE
        now = rate * falling * min(1, (training.step - first + 1) / WARM_UP)
        batch = finder_scenes.make_batch(generator, photos, BATCH)
        sums.append(advance(training, batch, now, done < warm))
        training.seconds = before + time.monotonic() - begin
        if training.step % 50 == 0:
            last = [one for one in sums if len(one) == len(sums[-1])]
            means = [sum(column) / len(last) for column in zip(*last, strict=True)]
            sums = []
            training.curve.append((training.step, round(training.seconds / 60, 2), *(round(one, 4) for one in means)))
            print(*training.curve[-1], flush=True)
        if time.monotonic() - saved > SAVE_EVERY:
            saved = time.monotonic()
            save(training, folder)
    save(training, folder)


def finish(training: Training, folder: Path, count: int) -> Path:
    """Set the threshold on scenes of the training photos, then measure and draw on held-out ones; the weights' path."""
    model = averaged(training)
    weights = trained_finder.store(model, folder / "finder.safetensors")
    asked = finder_figures.questions(count, world.load_photos(world.TRAINING_PHOTOS), SEED)
    logits = finder_figures.best_shift(finder_figures.answers(weights, asked))
    shift(model, logits)
    print(f"Logits shifted by {logits:.2f}.")
    trained_finder.store(model, weights)
    finder_figures.report(weights, count, folder / "sheet.jpg")
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--warm", type=float, default=0.0, help="the part of these, 0..1, for the backbone alone")
    parser.add_argument("--rate", type=float, default=RATE, help="the highest learning rate")
    parser.add_argument("--resume", type=Path, help="a state.pt to go on from")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--scenes", type=int, default=200, help="to measure on")
    parser.add_argument("--install", action="store_true", help="put the weights where the demo takes them from")
    options = parser.parse_args()
    torch.set_num_threads(1)
    training = start(options.resume)
    photos = world.load_photos(world.TRAINING_PHOTOS)
    train(training, photos, options.minutes, options.warm, options.output, options.rate)
    weights = finish(training, options.output, options.scenes)
    if options.install:
        shutil.copyfile(weights, trained_finder.WEIGHTS)


if __name__ == "__main__":
    main()
