"""Connected regions of a binary mask: fill its holes, drop its small islands.

A mask is cut into runs (stretches of one value within a row); runs that touch are joined into regions. An image
of millions of pixels has a few thousand runs, so the joining is cheap, every step is a tensor operation, and the
same code is exact on the CPU and on the GPU.

The mask is 8-connected (pixels that touch at a corner belong together) and the background 4-connected: the only
pairing in which a closed line, even a diagonal one, separates inside from outside.
"""

from dataclasses import dataclass

import torch


def fill_holes(mask: torch.Tensor) -> torch.Tensor:
    """Fill every piece of background that cannot reach the image's border.

    ``mask`` is bool ``[B,H,W]``; a new one of that shape is returned.
    """
    return torch.stack([_fill_holes(image) for image in mask])


def drop_islands(mask: torch.Tensor, min_area: float) -> torch.Tensor:
    """Clear every island of fewer than ``min_area`` pixels, but for an image's largest: a mask never vanishes.

    ``mask`` is bool ``[B,H,W]``; a new one of that shape is returned.
    """
    return torch.stack([_drop_islands(image, min_area) for image in mask])


def _fill_holes(mask: torch.Tensor) -> torch.Tensor:
    runs = _Runs.of(mask)
    region = runs.regions()
    reaches_border = torch.zeros_like(runs.value)
    reaches_border[region[runs.at_border()]] = True
    return runs.paint(mask, runs.value | ~reaches_border[region])


def _drop_islands(mask: torch.Tensor, min_area: float) -> torch.Tensor:
    runs = _Runs.of(mask)
    region = runs.regions()
    area = torch.zeros_like(runs.length).index_add_(0, region, runs.length * runs.value)
    largest = area.max()
    return runs.paint(mask, runs.value & ((area >= min_area) | (area == largest))[region])


@dataclass(frozen=True)
class _Runs:
    """The runs of one mask in reading order. All tensors are ``[N]``, but for ``change``."""

    change: torch.Tensor  # bool [H*W]: a run starts here
    start: torch.Tensor  # int64: flat index of the first pixel
    length: torch.Tensor  # int64
    value: torch.Tensor  # bool
    height: int
    width: int

    @classmethod
    def of(cls, mask: torch.Tensor) -> "_Runs":
        if mask.device.type == "mps":  # lacks some of the integer operations below
            mask = mask.cpu()
        height, width = mask.shape
        change = torch.ones_like(mask)
        change[:, 1:] = mask[:, 1:] != mask[:, :-1]
        change = change.flatten()
        start = change.nonzero().flatten()
        end = torch.cat([start[1:], start.new_tensor([height * width])])
        return cls(change, start, end - start, mask.flatten()[start], height, width)

    def at_border(self) -> torch.Tensor:
        row, column = self.start // self.width, self.start % self.width
        end = column + self.length
        return (row == 0) | (row == self.height - 1) | (column == 0) | (end == self.width)

    def regions(self) -> torch.Tensor:
        """For each run the index of the first run of its region."""
        upper, lower = self._touching()
        parent = torch.arange(len(self.start), device=self.start.device)
        while True:
            a, b = parent[upper], parent[lower]
            low, high = torch.minimum(a, b), torch.maximum(a, b)
            if torch.equal(low, high):
                return parent
            # Hang each root under the smallest it touches, then shorten every path to one step.
            parent.scatter_reduce_(0, high, low, "amin")
            while not torch.equal(grandparent := parent[parent], parent):
                parent = grandparent
            open_ = low != high
            upper, lower = upper[open_], lower[open_]

    def _touching(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Pairs of run indices (upper row, lower row) that belong to one region."""
        above, below = self.change[: -self.width], self.change[self.width :]
        # Between two such places neither row changes: one pair of runs, one above the other.
        place = (above | below).nonzero().flatten()
        upper = torch.searchsorted(self.start, place, right=True) - 1
        lower = torch.searchsorted(self.start, place + self.width, right=True) - 1
        same = self.value[upper] == self.value[lower]
        # Where both rows change at once and differ, mask pixels touch corner to corner.
        corner = ~same & above[place] & below[place] & (place % self.width != 0)
        corner_upper, corner_lower = upper[corner], lower[corner]
        falling = self.value[corner_lower].long()
        return (
            torch.cat([upper[same], corner_upper - falling]),
            torch.cat([lower[same], corner_lower - (1 - falling)]),
        )

    def paint(self, mask: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """``mask`` with ``value[i]`` in run i."""
        if torch.equal(value, self.value):  # no hole, no small island: the usual case
            return mask.clone()
        flat = torch.repeat_interleave(value, self.length, output_size=self.height * self.width)
        return flat.reshape(self.height, self.width).to(mask.device)
