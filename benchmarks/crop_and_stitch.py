"""What an edit of a small object in a large photo costs with crop and stitch, against editing the whole photo.

    python benchmarks/crop_and_stitch.py [--steps 1] [--size 2048] [--object 256] [--peer FOLDER]

Both edits run through the same nodes of a real ComfyUI (COMFYUI_DIR or ~/comfy/ComfyUI), in this process and on its
CPU: InpaintModelConditioning, KSampler (DPM++ 2M Karras, guidance 7.5) and VAEDecode, the one on the photo, the
other on the crop, from Crop for Inpaint to Stitch Inpaint, at their defaults. The ratio is the point, not the
seconds; one step is enough for it, as more steps multiply both sides alike.

The checkpoint is the seeded "lite" SD 1.5 inpainting model: real file format, real sampler, a much smaller UNet,
and a VAE that keeps the mean of each block of 8 × 8 pixels, which is why an edit of the whole photo changes all of
it so much. ``--peer`` names a clone of ComfyUI-Inpaint-CropAndStitch
(https://github.com/lquesada/ComfyUI-Inpaint-CropAndStitch) to do the same edit with its nodes at their defaults.

The last lines are medians, in seconds and in seconds of CPU time (which other load on the machine disturbs less),
and the ratio of the latter to the whole photo's. The whole photo takes minutes. Needs the packages of ComfyUI's
requirements.txt.
"""

import argparse
import contextlib
import functools
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from imageine.runner.demo import seeded
from imageine.runner.engines.comfyui import find_comfyui

Edit = Callable[..., tuple]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1, help="sampling steps of every edit")
    parser.add_argument("--size", type=int, default=2048, help="side of the square photo in pixels")
    parser.add_argument("--object", type=int, default=256, help="side of the square object in pixels")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each cropped edit; the whole photo runs once")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--peer", type=Path, help="a clone of ComfyUI-Inpaint-CropAndStitch")
    return parser.parse_args()


@contextlib.contextmanager
def comfyui(threads: int) -> Iterator[None]:
    """ComfyUI importable in this process, on its CPU, with its files in a temporary folder."""
    folder = find_comfyui()
    if folder is None:
        sys.exit("No ComfyUI found: set COMFYUI_DIR, or clone it to ~/comfy/ComfyUI.")
    with tempfile.TemporaryDirectory() as base:
        sys.path[0] = str(folder)
        sys.argv = ["main.py", "--cpu", "--use-pytorch-cross-attention", "--base-directory", base]
        import comfy.options

        comfy.options.enable_args_parsing()
        import torch

        torch.set_num_threads(threads)
        with torch.inference_mode():
            yield


def make_sampler(checkpoint: Path, steps: int) -> Edit:
    """``edit(pixels, mask)``: the sampling part of Simple Edit, by core nodes."""
    import comfy.sd

    import nodes

    model, clip, vae = comfy.sd.load_checkpoint_guess_config(str(checkpoint))[:3]
    positive = nodes.CLIPTextEncode().encode(clip, "blue car")[0]
    negative = nodes.CLIPTextEncode().encode(clip, "deformed, distorted, low quality, blurry")[0]

    def edit(pixels, mask):
        conditioned = nodes.InpaintModelConditioning().encode(positive, negative, pixels, vae, mask)
        latent = nodes.KSampler().sample(model, 0, steps, 7.5, "dpmpp_2m", "karras", *conditioned)[0]
        return nodes.VAEDecode().decode(vae, latent)[0]

    return edit


def with_imageine(edit: Edit) -> Edit:
    from imageine.nodes import inpainting

    options = {item.id: item.default for item in inpainting.CropForInpaint.define_schema().inputs[2:]}

    def run(photo, mask):
        info, pixels, sampled = inpainting.CropForInpaint.execute(photo, mask, **options).args
        return inpainting.StitchInpaint.execute(info, edit(pixels, sampled)).args[0]

    return run


def with_peer(edit: Edit, folder: Path) -> Edit:
    spec = importlib.util.spec_from_file_location("inpaint_cropandstitch", folder / "inpaint_cropandstitch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    crop, stitch = module.InpaintCropImproved(), module.InpaintStitchImproved()
    inputs = crop.INPUT_TYPES()["required"]
    options = {name: spec[1]["default"] for name, spec in inputs.items() if len(spec) > 1}
    options["device_mode"] = "cpu (compatible)"

    def run(photo, mask):
        stitcher, pixels, sampled = crop.inpaint_crop(image=photo, mask=mask, **options)
        return stitch.inpaint_stitch(stitcher, edit(pixels, sampled))[0]

    return run


def make_photo(size: int, object_size: int):
    """A photo [1,size,size,3] and the mask of a square object in its middle."""
    import numpy as np
    import torch
    from PIL import Image

    with Image.open(Path(seeded.__file__).with_name("photo.jpg")) as picture:
        pixels = np.asarray(picture.convert("RGB").resize((size, size), Image.Resampling.LANCZOS))
    mask = torch.zeros(1, size, size)
    first = (size - object_size) // 2
    mask[:, first : first + object_size, first : first + object_size] = 1
    return torch.from_numpy(pixels / np.float32(255))[None], mask


class Figures(NamedTuple):
    """Medians of some runs: ``changed`` is the part of the photo's pixels, ``far`` the most that one of them changed
    64 or more pixels from the object, in 1/255."""

    seconds: float
    cpu_seconds: float
    changed: float
    far: int


def measure(run: Edit, photo, mask, repeats: int) -> Figures:
    import torch

    times = []
    for _ in range(repeats):
        start, cpu_start = time.perf_counter(), time.process_time()
        result = run(photo, mask)
        times.append((time.perf_counter() - start, time.process_time() - cpu_start))
    change = (result - photo).abs().amax(-1)
    far = torch.nn.functional.max_pool2d(mask, 129, 1, 64) == 0
    seconds, cpu_seconds = (statistics.median(column) for column in zip(*times, strict=True))
    return Figures(seconds, cpu_seconds, (change > 0).float().mean().item(), round(change[far].max().item() * 255))


def main() -> None:
    options = arguments()
    checkpoint = seeded.models_folder() / seeded.CHECKPOINT
    with comfyui(options.threads):
        import torch

        edit = make_sampler(checkpoint, options.steps)
        photo, mask = make_photo(options.size, options.object)
        makers = {"Imageine": with_imageine}
        if options.peer:
            makers["ComfyUI-Inpaint-CropAndStitch"] = functools.partial(with_peer, folder=options.peer)
        edit(torch.zeros(1, 64, 64, 3), torch.ones(1, 64, 64))  # loads the models
        figures = {name: measure(make(edit), photo, mask, options.repeats) for name, make in makers.items()}
        alone = {name: measure(make(lambda pixels, _: pixels), photo, mask, 5) for name, make in makers.items()}
        whole = measure(edit, photo, mask, 1)
    print(f"\n{options.object}² object, {options.size}² photo, {options.steps} steps, {options.threads} CPU threads")
    print(f"{'':32}{'seconds':>9}{'CPU s':>9}{'of whole':>10}{'pixels changed':>16}{'change far off':>16}")
    for name, each in {"whole photo": whole, **figures}.items():
        share = f"1/{whole.cpu_seconds / each.cpu_seconds:.1f}"
        print(f"{name:32}{each.seconds:9.2f}{each.cpu_seconds:9.2f}{share:>10}{each.changed:16.1%}{each.far:>12}/255")
    for name, each in alone.items():
        print(f"{name}: cropping and stitching alone take {each.seconds * 1000:.0f} ms")


if __name__ == "__main__":
    main()
