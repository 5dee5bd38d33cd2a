"""From words, or from a painted mask, to one mask per image.

The models come in as functions, so that the rules below (which frames are detected at all, what is found, what
happens where nothing is) hold and are tested without them.
"""

import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import torch

from . import boxes as box_tools
from . import masks

EMPTY_MASK, WHOLE_IMAGE, ERROR = ON_EMPTY = ("empty mask", "whole image", "error")
PAINTED = "painted"  # the label of the box around a painted mask

_GLIMPSE = 0.05  # boxes down to this score are looked at, to say how near the best one came
_LISTED = 6  # objects or images named in a message

Detect = Callable[[torch.Tensor, float], list[list[dict]]]  # images, box threshold -> frames
Segment = Callable[[torch.Tensor, list[list[dict]]], torch.Tensor]  # images, frames -> bool [B,H,W]


@dataclass(frozen=True)
class Wish:
    """What to look for. ``what`` is for messages, shortened there; ``selection`` chooses among the boxes found."""

    what: str
    box_threshold: float = 0.3
    selection: box_tools.Selection = box_tools.Selection()
    on_empty: str = EMPTY_MASK

    def __post_init__(self):
        if self.on_empty not in ON_EMPTY:
            raise ValueError(f"On Empty is one of {', '.join(ON_EMPTY)}; got '{self.on_empty}'.")


@dataclass(frozen=True)
class Found:
    """``mask`` is float32 ``[B,H,W]`` of zeros and ones, ``frames`` the boxes it came from, ``lines`` says per image
    what was found or why nothing was."""

    mask: torch.Tensor
    frames: list[list[dict]]
    lines: list[str]

    @property
    def count(self) -> int:
        return sum(len(frame) for frame in self.frames)

    @property
    def message(self) -> str:
        """``lines`` as one text: without numbers for one image, and shortened for many."""
        if len(self.lines) == 1:
            return self.lines[0]
        shown = [f"Image {index}: {line}" for index, line in enumerate(self.lines[:_LISTED], start=1)]
        more = len(self.lines) - len(shown)
        total = f"{self.count} objects in {len(self.lines)} images"
        return "\n".join([total, *shown, *([f"and {more} more images"] if more else [])])


def painted_frames(painted: torch.Tensor | None, batch: int) -> list[bool]:
    """Which of ``batch`` images have something painted. One painted mask stands for every image; missing ones count
    as not painted. A mask of zeros, as core's Load Image gives for a picture without alpha, is nothing painted."""
    if painted is None or painted.numel() == 0:
        return [False] * batch
    flags = masks.is_painted(painted).tolist()
    return flags * batch if len(flags) == 1 else (flags + [False] * batch)[:batch]


def find(
    images: torch.Tensor, painted: torch.Tensor | None, detect: Detect, segment: Segment | None, wish: Wish
) -> Found:
    """One mask per image of ``images`` ``[B,H,W,C]``, for any pattern of empty frames.

    Images with a painted mask (``painted_frames``) use it, fitted to their size; only the others are given to
    ``detect``, and their boxes to ``segment``, or filled as rectangles when that is None. Raises ``ValueError``
    where nothing is found and ``wish.on_empty`` is "error".
    """
    batch, height, width = images.shape[:3]
    is_painted = painted_frames(painted, batch)
    mask = torch.zeros(batch, height, width, device=images.device)
    frames: list[list[dict]] = [[] for _ in range(batch)]
    lines = [""] * batch

    paint = masks.as_batch(painted) if any(is_painted) else None
    for index in (index for index in range(batch) if is_painted[index]):
        source = paint[index if len(paint) > 1 else 0]
        mask[index] = (masks.fit(source, height, width)[0] > 0.5).to(mask)
        frames[index] = [_box_around(mask[index])]
        lines[index] = "painted mask"

    wanted = [index for index in range(batch) if not is_painted[index]]
    if wanted:
        subset = images if len(wanted) == batch else images[wanted]
        found = _detect(subset, detect, segment, wish)
        for index, one, frame, line in zip(wanted, found.mask, found.frames, found.lines, strict=True):
            mask[index], frames[index], lines[index] = one.to(mask), frame, line
            if not frame or not bool(one.any()):
                _handle_empty(mask, index, line, wish)
    return Found(mask, frames, lines)


def fill_boxes(images: torch.Tensor, frames: list[list[dict]]) -> torch.Tensor:
    """Every pixel that a box touches: bool ``[B,H,W]`` on the CPU."""
    batch, height, width = images.shape[:3]
    mask = torch.zeros(batch, height, width, dtype=torch.bool)
    for index, frame in enumerate(frames):
        for box in frame:
            left, top, right, bottom = box_tools.clipped(box, width, height)
            mask[index, math.floor(top) : math.ceil(bottom), math.floor(left) : math.ceil(right)] = True
    return mask


def describe(frame: list[dict]) -> str:
    """The objects of a frame, best first: "2 objects: car 0.62, car 0.41"."""
    names = [f"{box.get('label') or 'object'} {box.get('score', 1.0):.2f}" for box in frame]
    names.sort(key=lambda name: name.rsplit(" ", 1)[1], reverse=True)
    listed = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    return f"{len(frame)} object{'' if len(frame) == 1 else 's'}: {listed}"


def _detect(images: torch.Tensor, detect: Detect, segment: Segment | None, wish: Wish) -> Found:
    height, width = images.shape[1:3]
    seen = detect(images, min(wish.box_threshold, _GLIMPSE))
    frames, lines = [], []
    for boxes in seen:
        above = [box for box in boxes if box.get("score", 1.0) > wish.box_threshold]
        chosen = wish.selection.apply(above, width, height)
        frames.append(chosen)
        lines.append(describe(chosen) if chosen else _why_nothing(boxes, above, wish))
    mask = segment(images, frames) if segment and any(frames) else fill_boxes(images, frames)
    for index, frame in enumerate(frames):
        if frame and not bool(mask[index].any()):
            lines[index] = f"{describe(frame)}, but Segment Anything found no object in the box."
    return Found(mask, frames, lines)


def _why_nothing(seen: list[dict], above: list[dict], wish: Wish) -> str:
    what = textwrap.shorten(wish.what, 80, placeholder=" …")
    if above:
        return (
            f"Nothing left for '{what}': {describe(above)}, but none passes the labels, areas, max boxes and "
            "index asked for."
        )
    best = max(seen, key=lambda box: box.get("score", 0.0), default=None)
    near = f" (the best was {best.get('label') or 'object'} {best['score']:.2f})" if best else ""
    return (
        f"Nothing found for '{what}' above {wish.box_threshold:.2f}{near}. Lower the box threshold, name it in "
        "other words, or paint a mask."
    )


def _handle_empty(mask: torch.Tensor, index: int, line: str, wish: Wish) -> None:
    if wish.on_empty == ERROR:
        place = f"Image {index + 1} of {len(mask)}: " if len(mask) > 1 else ""
        raise ValueError(f"{place}{line}")
    mask[index] = 1.0 if wish.on_empty == WHOLE_IMAGE else 0.0


def _box_around(mask: torch.Tensor) -> dict:
    rows, columns = (mask.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
    left, top = columns[0], rows[0]
    size = {"width": columns[-1] + 1 - left, "height": rows[-1] + 1 - top}
    return {"x": left, "y": top, **size, "label": PAINTED, "score": 1.0}
