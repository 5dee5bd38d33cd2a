"""What a sampling step costs with an IP-Adapter and with two ControlNets, against a plain step.

    python benchmarks/controls.py [--size 256] [--layout full] [--repeats 5] [--threads 2] [--peer FOLDER]

All rows are sampled by a real ComfyUI (COMFYUI_DIR or ~/comfy/ComfyUI) in this process and on its CPU: Euler,
guidance 7.5, hence two passes of the UNet in one batch. Weights are seeded; their sizes are those of Stable Diffusion
1.5 itself ("full": 860 million parameters, 16 cross-attentions, ControlNets of 361 million) and of an IP-Adapter for
it, because a smaller UNet would make the adapter look dear. One ControlNet serves as both, which changes the memory
needed (10 GB) and not the work. "lite" is the layout of the demo, for a quick try.

The ratio is the point: processor time of a step over that of a plain step, beside the same ratio of floating-point
operations as torch counts them. The rows take turns, so that other load on the machine meets all alike; every turn
gives one ratio per row, and the median of them is printed with the lowest and the highest. ``--peer`` names a clone of
ComfyUI_IPAdapter_plus (https://github.com/cubiq/ComfyUI_IPAdapter_plus) to steer with the same adapter by its nodes;
it leaves the middle block alone and hence does a little less. Needs the packages of ComfyUI's requirements.txt.
"""

import argparse
import contextlib
import importlib.util
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from imageine.runner.demo import filling, layouts
from imageine.runner.engines.comfyui import find_comfyui

TESTS = Path(__file__).parents[1] / "tests"
STEPS = 3  # of which the first is not timed
EMBED = 1024  # width of the image encoder's output, CLIP ViT-H's


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="side of the square picture in pixels")
    parser.add_argument("--layout", choices=("full", "lite"), default="full", help="the UNet: SD 1.5's or the demo's")
    parser.add_argument("--repeats", type=int, default=5, help="turns of every row")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--peer", type=Path, help="a clone of ComfyUI_IPAdapter_plus")
    return parser.parse_args()


@contextlib.contextmanager
def comfyui(threads: int) -> Iterator[None]:
    """ComfyUI importable in this process, on its CPU, with its files in a temporary folder."""
    folder = find_comfyui()
    if folder is None:
        sys.exit("No ComfyUI found: set COMFYUI_DIR, or clone it to ~/comfy/ComfyUI.")
    with tempfile.TemporaryDirectory() as base:
        sys.path[0] = str(folder)
        sys.path.append(str(TESTS))  # for the seeded adapter and ControlNet
        sys.argv = ["main.py", "--cpu", "--use-pytorch-cross-attention", "--base-directory", base]
        import comfy.options

        comfy.options.enable_args_parsing()
        import torch

        torch.set_num_threads(threads)
        with torch.inference_mode():
            yield


class Scene(NamedTuple):
    """What is sampled: the model, its two conditionings, and the latent [1,4,h,w]."""

    model: object
    positive: list
    negative: list
    latent: object


def make_scene(layout: str, size: int) -> Scene:
    import comfy.sd
    import torch

    weights = filling.fill(layouts.unet(layout, in_channels=4), "benchmark", filling.UNET_GAINS)
    model = comfy.sd.load_diffusion_model_state_dict(filling.calm_unet(weights, 0.05))
    texts = [torch.randn(1, layouts.CLIP_LENGTH, layouts.CONTEXT) for _ in range(2)]
    positive, negative = ([[text, {}]] for text in texts)
    return Scene(model, positive, negative, torch.zeros(1, 4, size // 8, size // 8))


def with_controls(scene: Scene, layout: str) -> Scene:
    import comfy.controlnet
    import torch
    from imageine.nodes.controls import ApplyControls
    from support import seeded_controlnet

    net = comfy.controlnet.load_controlnet_state_dict(seeded_controlnet.tensors(layout))
    hints = [torch.rand(1, *(8 * side for side in scene.latent.shape[-2:]), 3) for _ in range(2)]
    settings = {f"{kind}_{name}": value for kind in ("pose", "depth") for name, value in CONTROL.items()}
    settings |= {"use_pose": True, "use_depth": True, "pose_map": hints[0], "depth_map": hints[1]}
    settings |= {"pose_control_net": net, "depth_control_net": net}
    positive, negative = ApplyControls.execute(scene.positive, scene.negative, **settings).args
    return scene._replace(positive=positive, negative=negative)


CONTROL = {"strength": 0.5, "start": 0.0, "end": 1.0}


def with_imageine(model, parts: dict, embeds):
    from imageine.nodes.algorithms import ip_adapter, ip_references
    from imageine.nodes.ip_adapter import Adapter, ApplyIPAdapter

    references = ip_references.collect(embeds, embeds * 0)
    return ApplyIPAdapter.execute(model, 0.8, Adapter(ip_adapter.from_state(parts)), embeds=references)[0]


def with_peer(model, parts: dict, embeds, folder: Path):
    spec = importlib.util.spec_from_file_location(
        "ipadapter_plus", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    sys.modules["ipadapter_plus"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    node = module.NODE_CLASS_MAPPINGS["IPAdapterEmbeds"]()
    return node.apply_ipadapter(model, parts, embeds, 0.8, "linear", 0.0, 1.0, neg_embed=embeds * 0)[0]


def make_rows(options: argparse.Namespace) -> dict[str, Scene]:
    """Every row by its name, the plain one first."""
    import torch
    from support import seeded_ip_adapter

    plain = make_scene(options.layout, options.size)
    parts = seeded_ip_adapter.nested(seeded_ip_adapter.widths(options.layout), embed=EMBED)
    embeds = torch.randn(1, EMBED)
    controlled = with_controls(plain, options.layout)
    steered = with_imageine(plain.model, parts, embeds)
    rows = {"plain": plain, "IP-Adapter": plain._replace(model=steered)}
    if options.peer:
        theirs = with_peer(plain.model, parts, embeds, options.peer)
        rows["IP-Adapter by ComfyUI_IPAdapter_plus"] = plain._replace(model=theirs)
    return rows | {"two ControlNets": controlled, "both": controlled._replace(model=steered)}


def sample(scene: Scene, steps: int, at_step: Callable[..., None] | None = None) -> None:
    import comfy.sample

    noise = comfy.sample.prepare_noise(scene.latent, 0)
    settings = (steps, 7.5, "euler", "normal", scene.positive, scene.negative, scene.latent)
    comfy.sample.sample(scene.model, noise, *settings, callback=at_step, disable_pbar=True, seed=0)


def time_step(scene: Scene) -> tuple[float, float]:
    """Seconds and seconds of processor time of one step: what lies between two of them, without loading."""
    clocks = []
    sample(scene, STEPS, lambda *_: clocks.append((time.perf_counter(), time.process_time())))
    spans = [(later[0] - one[0], later[1] - one[1]) for one, later in itertools.pairwise(clocks)]
    return tuple(statistics.median(column) for column in zip(*spans, strict=True))


def operations(scene: Scene) -> int:
    """Floating-point operations of a step. Attention is taken apart into products, which torch can count anywhere."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        sample(scene, 1)
    return counter.get_total_flops()


def main() -> None:
    options = arguments()
    with comfyui(options.threads):
        rows = make_rows(options)
        flops = {name: operations(scene) for name, scene in rows.items()}  # warms up as well
        turns = [{name: time_step(scene) for name, scene in rows.items()} for _ in range(options.repeats)]
    print(f"\n{options.layout} SD 1.5 UNet, {options.size}² pixels, {options.threads} CPU threads, {len(turns)} turns")
    print(f"{'a step':40}{'seconds':>9}{'CPU s':>9}{'of plain':>10}{'lowest':>9}{'highest':>9}{'operations':>12}")
    for name in rows:
        seconds, cpu = (statistics.median(turn[name][clock] for turn in turns) for clock in (0, 1))
        ratios = [turn[name][1] / turn["plain"][1] for turn in turns]
        shown = f"{statistics.median(ratios):10.3f}{min(ratios):9.3f}{max(ratios):9.3f}"
        print(f"{name:40}{seconds:9.2f}{cpu:9.2f}{shown}{flops[name] / flops['plain']:12.3f}")
    print(f"A plain step has {flops['plain'] / 1e9:.0f} billion floating-point operations.")
    if not options.peer:
        print("ComfyUI_IPAdapter_plus was not measured: clone it and give its folder with --peer.")


if __name__ == "__main__":
    main()
