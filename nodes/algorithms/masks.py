"""Masks: clean, grow, shrink and feather.

Every function takes a mask ``[B,H,W]`` or ``[H,W]`` in 0..1, works on the device it lies on, and returns a new
float32 mask ``[B,H,W]`` in 0..1. NaN counts as 0; values beyond 0..1 are clipped.
"""

import math

import torch

from . import mask_components
from .pixels import to_rgb

_STRIP = 128  # rows


def as_batch(mask: torch.Tensor) -> torch.Tensor:
    """The mask as float32 ``[B,H,W]`` in 0..1. Raises ``ValueError`` for any other shape or an empty mask."""
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3 or 0 in mask.shape:
        raise ValueError(
            f"A mask has the shape [batch, height, width]; this one is {list(mask.shape)}. "
            "Connect a MASK output, or turn the image into a mask first."
        )
    return torch.nan_to_num(mask.to(torch.float32), nan=0.0, posinf=1.0, neginf=0.0).clamp(0, 1)


def is_painted(mask: torch.Tensor) -> torch.Tensor:
    """bool ``[B]``: the frames in which anything is above one half."""
    return (as_batch(mask) > 0.5).flatten(1).any(1)


def fit(mask: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The mask stretched to another size. Enlarging interpolates; reducing keeps the largest value, so that a thin
    stroke does not disappear."""
    soft = as_batch(mask)[:, None]
    reduced = (min(soft.shape[2], height), min(soft.shape[3], width))
    if reduced != soft.shape[2:]:
        soft = torch.nn.functional.adaptive_max_pool2d(soft, reduced)
    if reduced != (height, width):
        soft = torch.nn.functional.interpolate(soft, (height, width), mode="bilinear", align_corners=False)
    return soft[:, 0]


def overlay(images: torch.Tensor, mask: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """``images`` ``[B,H,W,C]`` at another size with the mask shown in red: ``[B,height,width,3]`` on the CPU."""
    shown = []
    for image, one in zip(images, as_batch(mask), strict=True):
        picture = to_rgb(image[None]).movedim(-1, 1)
        if picture.shape[2:] != (height, width):
            picture = torch.nn.functional.interpolate(picture, (height, width), mode="area")
        alpha = torch.nn.functional.interpolate(one[None, None], (height, width), mode="area") * 0.5
        red = torch.tensor([1.0, 0.1, 0.1], device=picture.device).view(1, 3, 1, 1)
        shown.append(torch.lerp(picture, red.expand_as(picture), alpha.to(picture.device)).movedim(1, -1).cpu())
    return torch.cat(shown)


def refine(
    mask: torch.Tensor,
    threshold: float = 0.5,
    fill_holes: bool = True,
    min_island: float = 0.0,
    grow: int = 0,
    feather: int = 21,
) -> torch.Tensor:
    """Clean a mask and give it a soft edge, in this order:

    ``threshold`` (0..1) makes it black and white: greys above it become 1, all others 0 (1 keeps only what is
    fully white). ``fill_holes`` fills what the mask encloses. ``min_island`` drops islands smaller than this
    fraction of the image's area, but never the largest. ``grow`` widens by so many pixels, or shrinks if
    negative. ``feather`` makes the edge a ramp of so many pixels (see ``feather``).
    """
    soft = as_batch(mask)
    hard = (soft > threshold) | (soft == 1)
    if fill_holes:
        hard = mask_components.fill_holes(hard)
    if min_island > 0:
        hard = mask_components.drop_islands(hard, min_island * hard.shape[-1] * hard.shape[-2])
    return _feather(_grow(hard.to(torch.uint8), grow, round_=True).to(torch.float32), feather)


def grow(mask: torch.Tensor, px: int, shape: str = "round") -> torch.Tensor:
    """Widen a mask by ``px`` pixels, or shrink it by ``-px`` if negative.

    Each pixel takes the largest (smallest) value within a disc of radius ``px`` (``shape="round"``: all offsets
    with dx² + dy² <= px²) or within a square of side 2 px + 1 (``shape="square"``), exactly, greys included.
    What lies outside the image does not count: a mask that touches the border does not recede from it.
    """
    if shape not in ("round", "square"):
        raise ValueError(f"The shape to grow by is 'round' or 'square', not '{shape}'.")
    soft = as_batch(mask)
    if px and bool(((soft == 0) | (soft == 1)).all()):
        return _grow(soft.to(torch.uint8), px, shape == "round").to(torch.float32)
    return _grow(soft, px, shape == "round")


def feather(mask: torch.Tensor, radius: int) -> torch.Tensor:
    """Turn the mask's edge into a smooth ramp exactly ``radius`` pixels wide, centred on the edge.

    The mask is averaged with a bell-shaped window (two boxes, one after the other). A pixel whose centre is
    ``radius / 2`` or more from an edge, measured along x and along y, keeps its value exactly; across a straight
    edge the ramp never turns back; nothing leaves 0..1. The image continues as its mirror image: a mask of ones
    stays ones, one of zeros stays zeros. ``radius`` 0 and 1 change nothing. A shape thinner than the ramp loses
    height: grow by ``radius // 2`` first where the mask has to stay whole.
    """
    if radius < 0:
        raise ValueError(f"The feather is {radius} px; it has to be 0 or more.")
    return _feather(as_batch(mask), radius)


def _grow(mask: torch.Tensor, px: int, round_: bool) -> torch.Tensor:
    """``mask`` is uint8 of zeros and ones, or float32 in 0..1."""
    if px == 0:
        return mask
    dilate = _dilate_disc if round_ else _dilate_square
    if px < 0:  # to shrink the mask is to widen what it leaves out
        return _on_support(mask, -px, lambda part: 1 - dilate(1 - part, -px))
    return _on_support(mask, px, lambda part: dilate(part, px))


def _dilate_square(mask: torch.Tensor, px: int) -> torch.Tensor:
    for axis in (-1, -2):
        reach = min(px, mask.shape[axis] - 1)
        mask = _Windows(_pad_zeros(mask, axis, reach), axis, torch.maximum, 2 * reach + 1).over(2 * reach + 1)
    return mask


def _dilate_disc(mask: torch.Tensor, px: int) -> torch.Tensor:
    """A disc is a stack of horizontal lines: each row of the result is the largest of 2 px + 1 rows, each widened
    by the half-length of the disc's line at that height."""
    height, width = mask.shape[-2:]
    reach = min(px, width - 1)
    windows = _Windows(_pad_zeros(mask, -1, reach), -1, torch.maximum, 2 * reach + 1)
    result = torch.zeros_like(mask)
    for dy in range(min(px, height - 1) + 1):
        half = min(math.isqrt(px * px - dy * dy), reach)
        line = windows.over(2 * half + 1)[..., reach - half : reach - half + width]
        for target, source in ((result[:, dy:], line[:, : height - dy]), (result[:, : height - dy], line[:, dy:])):
            torch.maximum(target, source, out=target)
    return result


def _feather(mask: torch.Tensor, radius: int) -> torch.Tensor:
    # Boxes of these lengths, convolved, weigh the pixels within radius / 2 and no other.
    boxes = (radius // 2 + 1, radius // 2 + 1) if radius % 2 else (radius // 2, radius // 2 + 1, 2)
    reach = (sum(boxes) - len(boxes)) // 2
    if reach <= 0:
        return mask

    def average(part: torch.Tensor, axis: int) -> torch.Tensor:
        for length in boxes:
            part = _Windows(part, axis, torch.add, length).over(length)
        return part.div_(math.prod(boxes))

    def blur(part: torch.Tensor) -> torch.Tensor:
        height = part.shape[-2]
        # A processor's cache holds a strip of rows, not a photo; a GPU takes all rows at once.
        step = max(_STRIP, 4 * reach) if part.device.type == "cpu" else height
        result = torch.empty_like(part)
        for top in range(0, height, step):
            bottom = min(top + step, height)
            rows = _mirrored(part, -2, top - reach, bottom + reach)
            rows = average(_mirrored(rows, -1, -reach, rows.shape[-1] + reach), -1)
            result[:, top:bottom] = average(rows, -2)
        return result

    return _on_support(mask, reach, blur)


class _Windows:
    """Sums or maxima over every window of any length up to ``longest`` along one axis.

    Tables for the powers of two are made once, each from the one before, so a window costs one or a few steps
    whatever its length. Additions pair up the same way at every place: equal input gives equal output, a
    non-decreasing input a non-decreasing output, and n ones give n, with no rounding noise in between.
    """

    def __init__(self, values: torch.Tensor, axis: int, combine, longest: int):
        self.axis, self.combine = axis, combine
        self.tables = [values]
        while 2 ** len(self.tables) <= longest:
            half = 2 ** (len(self.tables) - 1)
            self.tables.append(self._join(self.tables[-1], self.tables[-1], half))

    def over(self, length: int) -> torch.Tensor:
        """The combination of ``length`` neighbours; the axis gets shorter by ``length - 1``."""
        largest = length.bit_length() - 1
        result, covered = self.tables[largest], 2**largest
        if self.combine is torch.maximum:  # windows may overlap
            return self._join(result, result, length - covered) if length > covered else result
        for power in range(largest - 1, -1, -1):
            if length & 2**power:
                result, covered = self._join(result, self.tables[power], covered), covered + 2**power
        return result

    def _join(self, first: torch.Tensor, second: torch.Tensor, shift: int) -> torch.Tensor:
        size = min(first.shape[self.axis], second.shape[self.axis] - shift)
        return self.combine(first.narrow(self.axis, 0, size), second.narrow(self.axis, shift, size))


def _pad_zeros(mask: torch.Tensor, axis: int, reach: int) -> torch.Tensor:
    sides = (reach, reach) if axis == -1 else (0, 0, reach, reach)
    return torch.nn.functional.pad(mask, sides)


def _mirrored(mask: torch.Tensor, axis: int, start: int, stop: int) -> torch.Tensor:
    """``mask[start:stop]`` along ``axis``, where beyond its ends the mask goes on as its mirror image, again and
    again (torch's own pad stops after one)."""
    size = mask.shape[axis]
    if start >= 0 and stop <= size:
        return mask.narrow(axis, start, stop - start)
    index = torch.arange(start, stop, device=mask.device) % (2 * size)
    return mask.index_select(axis % mask.ndim, torch.minimum(index, 2 * size - 1 - index))


def _on_support(mask: torch.Tensor, reach: int, change) -> torch.Tensor:
    """Apply ``change`` to the part of the mask that is not zero and ``reach`` pixels around it.

    Objects are mostly much smaller than their photo; a ``change`` that maps zeros to zeros and looks no further
    than ``reach`` gives the same result, sooner.
    """
    rows, columns = (mask.any(0).any(axis).nonzero().flatten() for axis in (1, 0))
    if not len(rows):
        return mask
    top, left = max(int(rows[0]) - reach, 0), max(int(columns[0]) - reach, 0)
    bottom, right = int(rows[-1]) + 1 + reach, int(columns[-1]) + 1 + reach
    part = mask[:, top:bottom, left:right]
    if part.shape == mask.shape:
        return change(mask)
    result = torch.zeros_like(mask)
    result[:, top:bottom, left:right] = change(part)
    return result
