"""The pixels of a crop: out of the photo at the model's resolution, and back.

Resampling is antialiased bicubic, in float32, clipped to 0..1; pictures that have their size already are passed
through bit for bit. It goes an axis at a time, so that a strip of 8 × 6000 in a square crop is nowhere blown up
to 6000 × 6000: the axis on which the window leaves the photo comes last on the way out, first on the way back.
"""

import torch
import torch.nn.functional as F

from .pixels import to_rgb
from .windows import Box


def cut_out(picture: torch.Tensor, window: Box, size: tuple[int, int]) -> torch.Tensor:
    """The window of a photo ``[H,W,C]`` as a crop of ``size`` (width, height): ``[h,w,3]`` float32.

    Outside of the photo its edge pixels are repeated.
    """
    inside = window.intersection(Box(0, 0, picture.shape[1], picture.shape[0]))
    part = to_rgb(picture[None, inside.top : inside.bottom, inside.left : inside.right])[0]
    for axis in sorted((0, 1), key=lambda axis: _spill(window, inside, axis)):
        before, after = _margins(window, inside, axis)
        if before or after:
            length = part.shape[axis]
            index = torch.arange(-before, length + after, device=part.device).clamp(0, length - 1)
            part = part.index_select(axis, index)
        part = _resized(part, axis, size[1 - axis])
    return part


def fit_back(edited: torch.Tensor, window: Box, area: Box) -> torch.Tensor:
    """What an edited crop ``[h,w,3]`` of any size shows of ``area``, a box inside its window."""
    lengths = (window.height, window.width)
    for axis in sorted((0, 1), key=lambda axis: _spill(window, area, axis), reverse=True):
        before, after = _margins(window, area, axis)
        edited = _resized(edited, axis, lengths[axis]).narrow(axis, before, lengths[axis] - before - after)
    return edited


def _margins(window: Box, inside: Box, axis: int) -> tuple[int, int]:
    """How far the window reaches beyond a box, before and after it."""
    if axis == 0:
        return inside.top - window.top, window.bottom - inside.bottom
    return inside.left - window.left, window.right - inside.right


def _spill(window: Box, inside: Box, axis: int) -> float:
    """The part of the window's length that lies beyond a box."""
    return sum(_margins(window, inside, axis)) / (window.height, window.width)[axis]


def _resized(picture: torch.Tensor, axis: int, length: int) -> torch.Tensor:
    """``[h,w,3]`` with one axis resampled."""
    if picture.shape[axis] == length:
        return picture
    size = [length if index == axis else picture.shape[index] for index in (0, 1)]
    channels_first = picture.float().movedim(2, 0)[None]
    resampled = F.interpolate(channels_first, size=size, mode="bicubic", antialias=True, align_corners=False)
    return resampled[0].movedim(0, 2).clamp(0, 1)
