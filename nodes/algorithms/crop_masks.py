"""The masks of a crop: where its regions are, which latent cells they touch, and how their edges are eased.

Single masks ``[H,W]``, on whatever device they lie.
"""

import math

import torch
import torch.nn.functional as F

from . import windows
from .windows import Box

# Photo pixels behind one latent pixel. 8 for SD 1.5, SDXL and Flux alike.
LATENT_CELL = 8

# Side of the tiles by which regions are found. Things in touching tiles are less than two tiles apart, nearer
# than any two regions may be, so they end up in one region just as if they had been told apart by the pixel.
_TILE = windows.MIN_MARGIN // 2


def find_boxes(mask: torch.Tensor, context: float, photo: Box, each_limit: int | None) -> list[Box]:
    """The boxes to repaint in one mask ``[H,W]``: one for all (``each_limit`` None), or up to ``each_limit``."""
    hit = mask > 0
    rows, columns = hit.any(1).nonzero().flatten(), hit.any(0).nonzero().flatten()
    if not len(rows):
        return []
    whole = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    if each_limit is None:
        return [whole]
    pieces = _runs_of_tiles(hit[whole.top : whole.bottom, whole.left : whole.right])
    boxes = [piece.moved(whole.left, whole.top) for piece in pieces]
    return windows.limit_count(windows.join_overlapping(boxes, context, photo), each_limit, context, photo)


def _runs_of_tiles(hit: torch.Tensor) -> list[Box]:
    """Exact boxes of what lies in each horizontal run of non-empty tiles of ``hit`` ``[H,W]``."""
    height, width = hit.shape
    tiles = F.pad(hit, (0, -width % _TILE, 0, -height % _TILE)).unflatten(1, (-1, _TILE)).unflatten(0, (-1, _TILE))
    in_rows, in_columns = tiles.any(3).transpose(1, 2).float(), tiles.any(1).float()
    # argmax finds the first of equals, so on flipped tiles the last one.
    firsts = torch.stack([in_columns.argmax(2), in_rows.argmax(2)], 2)
    lasts = _TILE - torch.stack([in_columns.flip(2).argmax(2), in_rows.flip(2).argmax(2)], 2)
    used = in_rows.any(2)
    runs: list[Box] = []
    previous = None
    for (y, x), (left, top), (right, bottom) in zip(
        used.nonzero().tolist(), firsts[used].tolist(), lasts[used].tolist(), strict=True
    ):
        box = Box(left, top, right, bottom).moved(x * _TILE, y * _TILE)
        if previous == (y, x - 1):
            runs[-1] = runs[-1].union(box)
        else:
            runs.append(box)
        previous = (y, x)
    return runs


def touched_cells(hit: torch.Tensor, area: Box, window: Box, size: tuple[int, int]) -> torch.Tensor:
    """A mask ``[h,w]`` of ``size`` (width, height): 1 in every latent cell that ``hit`` touches, else 0.

    ``hit`` (bool) covers the box ``area`` of the photo, ``window`` is the box that becomes the crop.
    """
    for axis, offset, length, pixels in (
        (0, area.top - window.top, window.height, size[1]),
        (1, area.left - window.left, window.width, size[0]),
    ):
        hit = _touched(hit, axis, offset, length, pixels // LATENT_CELL)
    return hit.float().repeat_interleave(LATENT_CELL, 0).repeat_interleave(LATENT_CELL, 1)


def _touched(hit: torch.Tensor, axis: int, offset: int, length: int, cells: int) -> torch.Tensor:
    """Which of ``cells`` equal parts of a line of ``length`` pixels are touched, where ``hit`` starts at ``offset``."""
    edges = torch.arange(cells + 1, device=hit.device) * length
    first = (edges[:-1] // cells - offset).clamp(0, hit.shape[axis])
    last = (-(-edges[1:] // cells) - offset).clamp(0, hit.shape[axis])
    before = F.pad(hit.float().cumsum(axis), (0, 0, 1, 0) if axis == 0 else (1, 0))
    return before.index_select(axis, last) > before.index_select(axis, first)


def ease(mask: torch.Tensor, reach: int) -> torch.Tensor:
    """The mask ``[H,W]`` with no edge steeper than a ramp of ``reach`` pixels, by raising what lies outside it.

    The smallest mask above this one whose value falls by at most ``1 / reach`` per pixel: a hard edge gets a
    straight ramp outwards that ends after ``reach`` pixels, a softer edge stays as it is. Distances are those of
    a walk along rows, columns and diagonals (at most 8 % over the straight line).
    """
    mask = mask.clone()
    step = 1
    while step < reach:
        # Any distance is a sum of powers of two, so each step's ramp takes off from where the last one ended.
        for dy, dx in ((0, step), (step, 0), (step, step), (step, -step)):
            _raise_neighbours(mask, dy, dx, math.hypot(dy, dx) / reach)
        step *= 2
    return mask


def _raise_neighbours(mask: torch.Tensor, dy: int, dx: int, drop: float) -> None:
    """Raise each pixel, in place, to that of its neighbours at ``(dy, dx)`` and ``(-dy, -dx)`` less ``drop``."""
    height, width = mask.shape
    if dy >= height or abs(dx) >= width:
        return
    lowered = mask - drop
    here = (slice(dy, height), slice(max(dx, 0), width + min(dx, 0)))
    there = (slice(0, height - dy), slice(max(-dx, 0), width - max(dx, 0)))
    for target, source in ((here, there), (there, here)):
        torch.maximum(mask[target], lowered[source], out=mask[target])
