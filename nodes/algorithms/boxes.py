"""Boxes as core's BOUNDING_BOX has them: per frame a list of ``{x, y, width, height, label?, score?}`` in pixels."""

import re
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .pixels import to_rgb

SORTS = {
    "score": lambda box: -box.get("score", 1.0),
    "left to right": lambda box: box["x"] + box["width"] / 2,
    "top to bottom": lambda box: box["y"] + box["height"] / 2,
    "large to small": lambda box: -box["width"] * box["height"],
    "small to large": lambda box: box["width"] * box["height"],
}

_COLOURS = (
    "#e6194b",
    "#3cb44b",
    "#4363d8",
    "#f58231",
    "#911eb4",
    "#42d4f4",
    "#f032e6",
    "#bfef45",
    "#ffe119",
    "#469990",
)
_SMALLEST_PREVIEW, _LARGEST_PREVIEW = 512, 1024  # pixels of the longer edge
_SIDES = ("x", "y", "width", "height")


def as_frames(bboxes: dict | list | None, batch: int) -> list[list[dict]]:
    """``bboxes`` in any of core's forms as exactly ``batch`` frames.

    A dict, a flat list of dicts, or a single frame stands for every image; a shorter list of frames is padded with
    empty ones and a longer one is cut, as core's Draw BBoxes does. Raises ``ValueError`` for anything else.
    """
    if bboxes is None:
        frames = [[]]
    elif isinstance(bboxes, dict):
        frames = [[bboxes]]
    elif isinstance(bboxes, (list, tuple)) and all(isinstance(item, dict) for item in bboxes):
        frames = [list(bboxes)]
    elif isinstance(bboxes, (list, tuple)):
        frames = [_frame(item) for item in bboxes]
    else:
        raise ValueError(f"Boxes must be a list of frames; got {type(bboxes).__name__}.")
    for frame in frames:
        for box in frame:
            _check_box(box)
    if len(frames) == 1:
        return [list(frames[0]) for _ in range(batch)]
    return (frames + [[] for _ in range(batch)])[:batch]


def _frame(item: object) -> list[dict]:
    if item is None:
        return []
    if isinstance(item, dict):  # a list that mixes boxes and frames: one box for that image
        return [item]
    if not isinstance(item, (list, tuple)):
        raise ValueError(f"A frame of boxes must be a list; got {type(item).__name__}.")
    return list(item)


def _check_box(box: object) -> None:
    if not isinstance(box, dict) or not all(isinstance(box.get(side), Real) for side in _SIDES):
        raise ValueError(f"A box needs the numbers x, y, width and height, in pixels; got {box!r}.")


def clipped(box: dict, width: int, height: int) -> tuple[float, float, float, float]:
    """The part of ``box`` inside an image, as left, top, right, bottom; right <= left where there is none."""
    left, top = max(0.0, box["x"]), max(0.0, box["y"])
    return left, top, min(float(width), box["x"] + box["width"]), min(float(height), box["y"] + box["height"])


def area_fraction(box: dict, width: int, height: int) -> float:
    """The share of a ``width`` by ``height`` image that ``box`` covers, 0..1."""
    left, top, right, bottom = clipped(box, width, height)
    return max(0.0, right - left) * max(0.0, bottom - top) / (width * height)


@dataclass(frozen=True)
class Selection:
    """Which boxes of a frame to keep, and in which order.

    ``labels`` and the areas (inclusive, as shares 0..1 of the image) filter first; of what is left the
    ``max_boxes`` with the best scores stay (0: all), ``sort`` orders them, and ``index`` picks one (-1: all).
    ``labels`` is comma-separated: a box stays when its label contains one of the entries as whole words, so
    "door" keeps "red door", while "red door" does not keep "door". Case does not matter.
    """

    max_boxes: int = 0
    sort: str = "score"
    index: int = -1
    min_area: float = 0.0
    max_area: float = 1.0
    labels: str = ""

    def __post_init__(self):
        if self.sort not in SORTS:
            raise ValueError(f"Boxes can be sorted by {', '.join(SORTS)}; got '{self.sort}'.")
        if self.min_area > self.max_area:
            raise ValueError(f"The smallest area ({self.min_area}) is above the largest ({self.max_area}).")

    def apply(self, boxes: list[dict], width: int, height: int) -> list[dict]:
        """The selected boxes of one frame, whose image is ``width`` by ``height`` pixels."""
        wanted = _label_words(self.labels)
        kept = [
            box
            for box in boxes
            if (not wanted or any(_has_words(box.get("label") or "", words) for words in wanted))
            and self.min_area <= min(area_fraction(box, width, height), 1.0) <= self.max_area
        ]
        if self.max_boxes > 0:
            kept = sorted(kept, key=SORTS["score"])[: self.max_boxes]
        kept = sorted(kept, key=SORTS[self.sort])
        return kept if self.index < 0 else kept[self.index : self.index + 1]


def _label_words(labels: str) -> list[list[str]]:
    entries = (re.findall(r"\w+", entry.lower()) for entry in re.split(r"[.,;\n]", labels))
    return [words for words in entries if words]


def _has_words(label: str, words: list[str]) -> bool:
    found = re.findall(r"\w+", label.lower())
    return any(found[start : start + len(words)] == words for start in range(len(found) - len(words) + 1))


def label_lines(frames: list[list[dict]]) -> str:
    """The labels of ``frames`` as text: one line per frame, labels separated by commas, in the frame's order."""
    return "\n".join(", ".join(box.get("label") or "" for box in frame) for frame in frames)


def draw(images: torch.Tensor, frames: dict | list | None, message: str = "") -> torch.Tensor:
    """``images`` ``[B,H,W,C]`` with their boxes, labels and scores drawn: ``[B,H,W,3]`` float32 in 0..1, on the CPU.

    ``message`` is written over the images without a box. Lines and letters grow with the image.
    """
    frames = as_frames(frames, len(images))
    labels = sorted({box.get("label") or "" for frame in frames for box in frame})
    colours = {label: _COLOURS[index % len(_COLOURS)] for index, label in enumerate(labels)}
    drawn = torch.empty(*images.shape[:3], 3)
    for index, frame in enumerate(frames):
        pixels = to_rgb(images[index : index + 1])[0].clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
        picture = Image.fromarray(pixels.numpy())
        if frame:
            _draw_boxes(picture, frame, colours)
        elif message:
            _write_lines(picture, message)
        drawn[index] = torch.from_numpy(np.array(picture)).float().div(255)
    return drawn


def preview(images: torch.Tensor, frames: list[list[dict]], message: str = "") -> torch.Tensor:
    """``draw`` on images made to fit a node: the longer edge is brought to 512..1024 pixels."""
    height, width = images.shape[1:3]
    longest = max(height, width)
    scale = min(1.0, _LARGEST_PREVIEW / longest) if longest >= _SMALLEST_PREVIEW else _SMALLEST_PREVIEW / longest
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    mode = "area" if scale < 1 else "nearest"
    shown = torch.empty(len(images), *size, 3)
    for index in range(len(images)):
        picture = to_rgb(images[index : index + 1]).movedim(-1, 1)
        shown[index] = torch.nn.functional.interpolate(picture, size=size, mode=mode)[0].movedim(0, -1).cpu()
    return draw(shown, [[_scaled(box, scale) for box in frame] for frame in frames], message)


def _scaled(box: dict, scale: float) -> dict:
    return {**box, **{side: box[side] * scale for side in _SIDES}}


def _letter_height(picture: Image.Image) -> int:
    return max(11, round(max(picture.size) / 36))


def _draw_boxes(picture: Image.Image, frame: list[dict], colours: dict[str, str]) -> None:
    pen = ImageDraw.Draw(picture)
    letters = _letter_height(picture)
    for box in sorted(frame, key=SORTS["score"], reverse=True):  # the best box last, on top
        left, top, right, bottom = (round(side) for side in clipped(box, *picture.size))
        if right < left or bottom < top:
            continue
        colour = colours[box.get("label") or ""]
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        pen.rectangle(corners, outline=colour, width=max(1, letters // 6))
        score = f"{box['score']:.2f}" if isinstance(box.get("score"), Real) else ""
        above = top - round(letters * 1.3)
        text = f"{box.get('label') or ''} {score}".strip()
        _write(pen, (left, above if above >= 0 else top), text, colour, letters, picture.width)


def _write_lines(picture: Image.Image, text: str) -> None:
    """``text`` at the top of ``picture``, broken between words so that each line fits its width."""
    pen = ImageDraw.Draw(picture)
    letters = _letter_height(picture)
    font = ImageFont.load_default(letters)
    lines: list[str] = []
    for word in text.split():
        if lines and pen.textlength(f"{lines[-1]} {word}", font=font) <= picture.width - letters:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    for index, line in enumerate(lines):
        _write(pen, (0, round(index * letters * 1.3)), line, "#202020", letters, picture.width)


def _write(pen: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, colour: str, height: int, width: int) -> None:
    """``text`` on a patch of ``colour``; moved left where it would leave a picture ``width`` pixels wide."""
    if not text:
        return
    font = ImageFont.load_default(height)
    long = round(pen.textlength(text, font=font)) + height // 2
    x, y = max(0, min(corner[0], width - long)), corner[1]
    pen.rectangle((x, y, x + long, y + round(height * 1.3)), fill=colour)
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "white"
    pen.text((x + height // 4, y), text, fill=ink, font=font)
