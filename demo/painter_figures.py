"""How well the painter paints, by ComfyUI's own nodes (COMFYUI_DIR; default ~/comfy/ComfyUI), and as diffusers does.

python -m demo.painter_figures --cases 200 --steps 12 --guidance 1.5 --sheet /tmp/sheet.png

On crops before photographs that it never saw. Colours are told by the nearest one of the middle of what was painted,
shapes by which of the four explains the picture best, a removal by whether the place is nearer to what is behind than
to any colour.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from imageine.runner.demo import trained_painter
from PIL import Image

from .painter_pairs import Pair
from .painter_sampling import is_removed, make_cases, painted_colour
from .world import HELD_OUT_PHOTOS, SHAPES, Scene, load_photos

NEGATIVE = "deformed, distorted, low quality, blurry"
PHRASES = ("{} {}", "a {} {}", "the {1} in {0}", "{1}, {0}", "a photo of a shiny {} {}", "paint it as one {} {}")
CELL = 8
# Scales of a thing that its mask leaves open.
_SCALES = (0.8, 0.9, 1.0, 1.1, 1.2)

Paint = Callable[[str, np.ndarray, np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Figures:
    """Parts of the cases; ``chance`` is the colour of another case's prompt."""

    cases: int
    colour: float
    chance: float
    shape: float
    removed: float

    def __str__(self) -> str:
        return (
            f"{self.cases} cases: colour right {self.colour:.1%} (another's prompt {self.chance:.1%}), "
            f"shape right {self.shape:.1%}, removed {self.removed:.1%}"
        )


def comfyui_painter(checkpoint: Path, steps: int, guidance: float) -> Paint:
    """(prompt, crop ``[H,W,3]`` in 0..1, mask ``[H,W]``, seed) -> the crop painted anew, by ComfyUI's nodes."""
    folder = Path(os.environ.get("COMFYUI_DIR", "~/comfy/ComfyUI")).expanduser()
    sys.path.insert(0, str(folder))
    kept, sys.argv = sys.argv, [sys.argv[0], "--cpu", "--disable-api-nodes"]
    import comfy.options

    comfy.options.enable_args_parsing()
    import folder_paths

    import nodes

    sys.argv = kept
    folder_paths.add_model_folder_path("checkpoints", str(checkpoint.parent))
    model, clip, vae = nodes.CheckpointLoaderSimple().load_checkpoint(checkpoint.name)
    negative = nodes.CLIPTextEncode().encode(clip, NEGATIVE)[0]

    @torch.inference_mode()
    def paint(prompt: str, crop: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
        pixels, where = torch.from_numpy(crop)[None], torch.from_numpy(mask)[None]
        positive = nodes.CLIPTextEncode().encode(clip, prompt)[0]
        inputs = nodes.InpaintModelConditioning().encode(positive, negative, pixels, vae, where, True)
        settings = (seed, steps, guidance, "dpmpp_2m", "karras")
        return vae.decode(nodes.KSampler().sample(model, *settings, *inputs, 1.0)[0]["samples"])[0].numpy()

    return paint


def diffusers_painter(checkpoint: Path, steps: int, guidance: float) -> Paint:
    """The same by the embedded engine: diffusers' networks and schedulers."""
    from imageine.runner.engines.embedded import core_nodes, sampling
    from imageine.runner.engines.embedded.checkpoints import load_checkpoint
    from imageine.runner.engines.embedded.memory import Memory

    loaded = load_checkpoint(checkpoint, torch.float32)
    memory = Memory(torch.device("cpu"))

    def embed(text: str) -> sampling.Conditioning:
        tokens = loaded.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
        return sampling.Conditioning(loaded.text_encoder(tokens.input_ids)[0])

    @torch.inference_mode()
    def paint(prompt: str, crop: np.ndarray, mask: np.ndarray, seed: int) -> np.ndarray:
        pixels, where = torch.from_numpy(crop)[None], torch.from_numpy(mask)[None]
        positive, negative, _ = core_nodes.condition_inpainting(
            None, embed(prompt), embed(NEGATIVE), loaded, pixels, where, True
        )
        settings = sampling.Settings(seed, steps, guidance, "dpmpp_2m", "karras")
        latents = sampling.sample(loaded, positive, negative, (), settings, memory, lambda step, steps: None)
        return sampling.decode(loaded, latents, memory)[0].numpy()

    return paint


def crop_of(case: Pair) -> tuple[np.ndarray, np.ndarray]:
    """A case at eight pixels a cell: ``[H,W,3]`` in 0..1 and its mask ``[H,W]``."""
    height, width = case.mask.shape
    scene = Scene(case.scene.background.resize((CELL * width, CELL * height), Image.Resampling.BICUBIC), (case.old,))
    crop = np.asarray(scene.picture(), np.float32) / 255
    return crop, case.mask.repeat(CELL, 0).repeat(CELL, 1)


def means(picture: np.ndarray) -> np.ndarray:
    """``[H,W,3]`` -> the mean colour of every cell ``[3,h,w]``."""
    height, width = (side // CELL for side in picture.shape[:2])
    return picture.reshape(height, CELL, width, CELL, 3).mean((1, 3)).transpose(2, 0, 1)


def painted_shape(picture: np.ndarray, case: Pair) -> str:
    """Which shape, at the thing's place and about its size, explains cells ``[3,h,w]`` best."""
    height, width = picture.shape[1:]
    behind = case.scene.background.resize((width, height), Image.Resampling.BOX)
    behind = np.asarray(behind, np.float32).transpose(2, 0, 1) / 255

    def error(shape: str, scale: float) -> float:
        thing = replace(case.old, shape=shape)
        covered = np.asarray(thing.mask(CELL * width, CELL * height, scale).reduce(CELL), np.float32) / 255
        middle = np.asarray(thing.mask(CELL * width, CELL * height, 0.5).reduce(CELL), np.float32) / 255
        colour = (picture * middle).sum((1, 2), keepdims=True) / middle.sum()
        return float(((behind * (1 - covered) + colour * covered - picture) ** 2 * case.mask).sum())

    return min(SHAPES, key=lambda shape: min(error(shape, scale) for scale in _SCALES))


def measure(paint: Paint, cases: list[Pair], removals: int) -> tuple[Figures, list[np.ndarray]]:
    """The figures, and the painted crops."""
    painted = []
    for seed, case in enumerate(cases):
        painted.append(paint(prompt_of(case, seed), *crop_of(case), seed))
        if (seed + 1) % 20 == 0:
            print(f"{seed + 1} painted", flush=True)
    cells = [means(picture) for picture in painted]
    found = [painted_colour(picture, case) for picture, case in zip(cells, cases, strict=True)]
    others = cases[7:] + cases[:7]
    shapes = sum(painted_shape(picture, case) == case.old.shape for picture, case in zip(cells, cases, strict=True))
    wiped = [paint("empty background", *crop_of(case), seed) for seed, case in enumerate(cases[:removals])]
    gone = sum(is_removed(means(picture), case) for picture, case in zip(wiped, cases, strict=False))
    count = len(cases)
    figures = Figures(
        count,
        sum(colour == case.thing.colour for colour, case in zip(found, cases, strict=True)) / count,
        sum(colour == case.thing.colour for colour, case in zip(found, others, strict=True)) / count,
        shapes / count,
        gone / max(removals, 1),
    )
    return figures, painted + wiped


def prompt_of(case: Pair, number: int) -> str:
    return PHRASES[number % len(PHRASES)].format(case.thing.colour, case.thing.shape)


def make_sheet(cases: list[Pair], painted: list[np.ndarray]) -> Image.Image:
    """Rows of up to eight crops before, and painted below."""
    across = min(8, len(cases))
    rows = []
    for start in range(0, min(len(cases), 32) // across * across, across):
        rows.append(np.concatenate([crop_of(case)[0] for case in cases[start : start + across]], 1))
        rows.append(np.concatenate(painted[start : start + across], 1))
    levels = (np.concatenate(rows).clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(levels).reduce(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--removals", type=int, default=50)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--guidance", type=float, default=1.5)
    parser.add_argument("--alike", type=int, default=3, help="cases to paint with diffusers, too")
    parser.add_argument("--sheet", type=Path, help="where to save pictures of the first cases")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cases = make_cases(load_photos(HELD_OUT_PHOTOS), chosen.cases)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = trained_painter.save(Path(folder) / "painter.safetensors")
        paint = comfyui_painter(checkpoint, chosen.steps, chosen.guidance)
        figures, painted = measure(paint, cases, chosen.removals)
        print(figures, flush=True)
        if chosen.sheet:
            make_sheet(cases, painted).save(chosen.sheet)
        other = diffusers_painter(checkpoint, chosen.steps, chosen.guidance) if chosen.alike else None
        for seed, case in enumerate(cases[: chosen.alike]):
            difference = np.abs(other(prompt_of(case, seed), *crop_of(case), seed) - painted[seed]).max()
            print(f"ComfyUI against diffusers, case {seed + 1}: at most {255 * difference:.2f} of 255 levels")


if __name__ == "__main__":
    main()
