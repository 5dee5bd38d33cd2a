"""Refine Mask on a 4096 x 4096 mask, step by step, against scipy and against plain torch operations.

    python benchmarks/masks.py [--size 4096] [--device cuda] [--threads 2] [--repeats 5]

Three masks: one object of ordinary size, a frayed one, and one with thousands of islands and holes. scipy runs
binary_fill_holes, label and bincount, binary_dilation by a disc (iterated, its fastest exact way) and two uniform
filters; plain torch runs max_pool2d and the full two-dimensional convolution with the same window as our feather
(and has nothing for holes and islands). All times are medians in milliseconds, taken in one run on one machine;
the ratio is the other's time over ours. Results are compared as well: every step has to give the same mask, but for
max_pool2d, which grows by a square.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from imageine.nodes.algorithms import mask_components, masks
from scipy import ndimage

GROW, FEATHER, ISLAND = 8, 21, 1e-4


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=4096, help="edge of the square mask in pixels")
    parser.add_argument("--device", default="cpu", help="where the mask lies: cpu, cuda or mps")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each step")
    return parser.parse_args()


def samples(size: int) -> dict[str, torch.Tensor]:
    """bool ``[1,size,size]`` masks by name."""
    axis = torch.linspace(-1, 1, size)
    distance = (axis[None] ** 2 + axis[:, None] ** 2).sqrt()
    ring = (distance < 0.35) & (distance > 0.05)
    generator = torch.Generator().manual_seed(0)

    def clouds(cells: int) -> torch.Tensor:
        coarse = torch.rand(1, 1, cells, cells, generator=generator)
        return torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic")[0, 0]

    return {
        "object": ring[None],
        "frayed": (distance + 0.3 * (clouds(128) - 0.5) < 0.35)[None],
        "busy": (clouds(256) > 0.5)[None],
    }


def measure(step: Callable[[], object], repeats: int, device: str) -> tuple[float, object]:
    """Median milliseconds and the result, after one run to warm up."""
    times = []
    result = step()
    for _ in range(repeats):
        synchronise(device)
        start = time.perf_counter()
        result = step()
        synchronise(device)
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times), result


def synchronise(device: str) -> None:
    if device != "cpu":
        getattr(torch, device).synchronize()


def disc(px: int):
    axis = torch.arange(-px, px + 1)
    return (axis[:, None] ** 2 + axis[None] ** 2 <= px * px).numpy()


def scipy_islands(mask, min_area: float):
    labels, count = ndimage.label(mask, structure=[[1] * 3] * 3)
    areas = torch.from_numpy(labels).flatten().bincount(minlength=count + 1)
    areas[0] = 0
    keep = (areas >= min_area) | (areas == areas.max())
    keep[0] = False
    return keep.numpy()[labels]


def scipy_feather(mask):
    box = FEATHER // 2 + 1
    return ndimage.uniform_filter(ndimage.uniform_filter(mask, box, mode="reflect"), box, mode="reflect")


def torch_feather(mask: torch.Tensor) -> torch.Tensor:
    box = FEATHER // 2 + 1
    taps = torch.cat([torch.arange(1.0, box + 1), torch.arange(box - 1.0, 0, -1)]).to(mask.device) / box**2
    window = (taps[:, None] * taps[None])[None, None]
    padded = torch.nn.functional.pad(mask[None], (FEATHER // 2,) * 4, mode="replicate")
    return torch.nn.functional.conv2d(padded, window)[0]


def compare(name: str, mask: torch.Tensor, options: argparse.Namespace) -> None:
    device, grey = mask.device.type, mask.float()
    array, soft = mask[0].cpu().numpy(), grey[0].cpu().numpy()
    area = ISLAND * mask[0].numel()
    pool = torch.nn.MaxPool2d(2 * GROW + 1, 1, GROW)
    steps = {
        "fill holes": (lambda: mask_components.fill_holes(mask), lambda: ndimage.binary_fill_holes(array), None),
        "drop islands": (lambda: mask_components.drop_islands(mask, area), lambda: scipy_islands(array, area), None),
        f"grow {GROW}": (
            lambda: masks.grow(grey, GROW),
            lambda: ndimage.binary_dilation(array, disc(GROW)),
            lambda: pool(grey[None]),
        ),
        f"feather {FEATHER}": (
            lambda: masks.feather(grey, FEATHER),
            lambda: scipy_feather(soft),
            lambda: torch_feather(grey),
        ),
    }
    totals = [0.0, 0.0]
    for step, (ours, scipys, plain) in steps.items():
        own, result = measure(ours, options.repeats, device)
        other, expected = measure(scipys, max(1, options.repeats // 3), "cpu")
        difference = float((result[0].float().cpu() - torch.from_numpy(expected).float()).abs().max())
        totals = [totals[0] + own, totals[1] + other]
        line = f"{name:8}{step:14}{own:9.1f} ms   scipy {other:9.1f} ms, ratio {other / own:6.1f}"
        if plain:
            naive, _ = measure(plain, max(1, options.repeats // 3), device)
            line += f"   torch {naive:9.1f} ms, ratio {naive / own:6.1f}"
        print(f"{line}   largest difference to scipy {difference:.0e}")
    whole, _ = measure(
        lambda: masks.refine(grey, min_island=ISLAND, grow=GROW, feather=FEATHER), options.repeats, device
    )
    print(f"{name:8}{'refine, whole':14}{whole:9.1f} ms   scipy {totals[1]:9.1f} ms, ratio {totals[1] / whole:6.1f}")


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    print(f"{options.size} x {options.size} on {options.device}, torch {torch.__version__}, {options.threads} threads")
    for name, mask in samples(options.size).items():
        compare(name, mask.to(options.device), options)


if __name__ == "__main__":
    main()
