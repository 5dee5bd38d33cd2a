"""Where to crop: integer geometry of regions, windows and crop sizes. Standard library only.

A *region* is the box of one thing to repaint. Its *context box* adds surroundings for the model to see. Its
*window* is the context box widened to the crop's aspect ratio, so that nothing is squeezed, and moved into the
photo; it reaches outside only where the photo is too small to hold it.
"""

from typing import NamedTuple

# Pixels of surroundings every region gets at least, whatever the context factor (as far as the photo has them).
# It also keeps regions of one photo at least twice this far apart, or they are joined.
MIN_MARGIN = 32

# The longest side worked out from an aspect ratio; ComfyUI's own limit for sizes.
MAX_SIDE = 16384


class Box(NamedTuple):
    """A rectangle in pixels; ``right`` and ``bottom`` are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    def union(self, other: "Box") -> "Box":
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )

    def intersection(self, other: "Box") -> "Box":
        """The common part; only meaningful where ``overlaps`` holds."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def overlaps(self, other: "Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def grown(self, dx: int, dy: int) -> "Box":
        return Box(self.left - dx, self.top - dy, self.right + dx, self.bottom + dy)

    def moved(self, dx: int, dy: int) -> "Box":
        return Box(self.left + dx, self.top + dy, self.right + dx, self.bottom + dy)


def context_box(box: Box, context: float, photo: Box) -> Box:
    """``box`` with its sides multiplied by ``context`` and at least ``MIN_MARGIN`` all round, cut to the photo."""
    dx = max(MIN_MARGIN, round(box.width * (context - 1) / 2))
    dy = max(MIN_MARGIN, round(box.height * (context - 1) / 2))
    return box.grown(dx, dy).intersection(photo)


def join_overlapping(boxes: list[Box], context: float, photo: Box) -> list[Box]:
    """Join boxes whose context boxes overlap until none do; top to bottom, left to right.

    Context boxes only grow when boxes are joined, so the outcome does not depend on the order of ``boxes``.
    """
    waiting = list(boxes)
    apart: dict[Box, Box] = {}
    while waiting:
        box = waiting.pop()
        reach = context_box(box, context, photo)
        near = next((other for other, its_reach in apart.items() if reach.overlaps(its_reach)), None)
        if near is None:
            apart[box] = reach
        else:
            del apart[near]
            waiting.append(box.union(near))
    return sorted(apart, key=lambda box: (box.top, box.left))


def limit_count(boxes: list[Box], most: int, context: float, photo: Box) -> list[Box]:
    """At most ``most`` boxes covering all of ``boxes``: the largest stay, each smaller one joins the nearest."""
    if len(boxes) <= most:
        return boxes
    by_area = sorted(boxes, key=lambda box: box.width * box.height, reverse=True)
    kept = by_area[:most]
    for box in by_area[most:]:
        nearest = min(range(most), key=lambda index: _gap(kept[index], box))
        kept[nearest] = kept[nearest].union(box)
    return join_overlapping(kept, context, photo)


def _gap(a: Box, b: Box) -> int:
    """Squared distance between two boxes, 0 where they touch."""
    dx = max(a.left - b.right, b.left - a.right, 0)
    dy = max(a.top - b.bottom, b.top - a.bottom, 0)
    return dx * dx + dy * dy


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def crop_size(contexts: list[Box], width: int, height: int, multiple: int) -> tuple[int, int]:
    """Width and height shared by all crops, both multiples of ``multiple``.

    A ``width`` or ``height`` of 0 is worked out from the context boxes: both 0 keep their own size (the largest
    one's, as crops share a batch), one 0 keeps their aspect ratio.
    """
    width, height = round_up(width, multiple), round_up(height, multiple)
    if not width and not height:
        width = max(box.width for box in contexts)
        height = max(box.height for box in contexts)
    elif not height:
        height = min(MAX_SIDE, max(-(-box.height * width // box.width) for box in contexts))
    elif not width:
        width = min(MAX_SIDE, max(-(-box.width * height // box.height) for box in contexts))
    return round_up(width, multiple), round_up(height, multiple)


def window_for(box: Box, context: float, photo: Box, size: tuple[int, int], keep_scale: bool) -> Box:
    """The window that becomes a crop of ``size`` (width, height).

    ``keep_scale`` asks for exactly ``size`` pixels of the photo. Otherwise the window has the aspect ratio of
    ``size``; where the photo is too small for it, context gives way before anything is padded, down to
    ``MIN_MARGIN`` pixels of it. Padding is left only where the region itself is too long for the photo.
    """
    cover = context_box(box, context, photo)
    if keep_scale:
        width, height = size
    else:
        width, height = _covering(cover, size)
        if width > photo.width or height > photo.height:
            cover = context_box(box, 1.0, photo)
            least, most = _covering(cover, size), _fitting(photo, size)
            width, height = max(least[0], most[0]), max(least[1], most[1])
    left = _placed(box.left + box.right, width, photo.width)
    top = _placed(box.top + box.bottom, height, photo.height)
    return Box(left, top, left + width, top + height)


def _placed(twice_centre: int, length: int, photo: int) -> int:
    """Where a window of ``length`` starts on one axis: as near to the centre as leaves it inside the photo, or all
    of the photo inside it. What it had to cover, cut to the photo, it then still covers."""
    low, high = sorted((0, photo - length))
    return min(max((twice_centre - length) // 2, low), high)


def _covering(box: Box, aspect: tuple[int, int]) -> tuple[int, int]:
    """The smallest (width, height) of the aspect ratio that covers ``box``, to within one pixel."""
    across, down = aspect
    if box.width * down >= box.height * across:
        return box.width, max(box.height, -(-box.width * down // across))
    return max(box.width, -(-box.height * across // down)), box.height


def _fitting(photo: Box, aspect: tuple[int, int]) -> tuple[int, int]:
    """The largest (width, height) of the aspect ratio inside ``photo``, to within one pixel."""
    across, down = aspect
    if photo.width * down <= photo.height * across:
        return photo.width, max(1, photo.width * down // across)
    return max(1, photo.height * across // down), photo.height
