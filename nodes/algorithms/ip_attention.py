"""What one IP-Adapter adds to the cross-attentions of a UNet, and how much in which block."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch.nn import functional

from .ip_adapter import IPAdapter

LINEAR, EASE_IN, EASE_OUT = "linear", "ease in", "ease out"
STYLE, COMPOSITION, BOTH = "style", "composition", "style and composition"
WEIGHT_TYPES = (LINEAR, EASE_IN, EASE_OUT, STYLE, COMPOSITION, BOTH)

_LEAST = 0.05  # what the faded end of an easing keeps
_ORDER = ("input", "middle", "output")

# Which blocks carry what: InstantStyle (arXiv 2404.02733) for SDXL, InvokeAI's presets for SD 1.5. By token width.
_BLOCKS = {
    768: {
        COMPOSITION: {("input", 7), ("input", 8), ("middle", 0)},
        STYLE: {("output", 3), ("output", 4), ("output", 5)},
    },
    2048: {COMPOSITION: {("input", 8)}, STYLE: {("output", 1)}},
}


class Window(NamedTuple):
    """The part of the picture that a pass of the UNet sees, in shares of its height and width."""

    top: float
    left: float
    bottom: float
    right: float

    def cut(self, mask: torch.Tensor) -> torch.Tensor:
        """That part of ``mask`` ``[M,H,W]``, at least a pixel."""
        height, width = mask.shape[-2:]
        top, left = int(self.top * height), int(self.left * width)
        bottom, right = round(self.bottom * height), round(self.right * width)
        return mask[:, top : max(bottom, top + 1), left : max(right, left + 1)]


class Place(NamedTuple):
    """A cross-attention of the UNet: ComfyUI's name of its block, and its number among the block's layers."""

    block: str
    number: int
    layer: int


def strengths(weight: float, weight_type: str, places: Sequence[Place], token_width: int) -> tuple[float, ...]:
    """``weight`` shaped by ``weight_type``: one value per cross-attention of ``places``.

    "ease in" starts at full weight in the first block and falls to 5 % in the last, "ease out" rises the other way;
    "style" and "composition" act in the blocks found to carry them and nowhere else. Raises ``ValueError`` where the
    UNet has none of those blocks, and for an unknown type.
    """
    if weight_type not in WEIGHT_TYPES:
        raise ValueError(f"No weight type '{weight_type}'. Choose one of: {', '.join(WEIGHT_TYPES)}.")
    if weight_type == LINEAR:
        return (weight,) * len(places)
    if weight_type in (EASE_IN, EASE_OUT):
        blocks = sorted({place[:2] for place in places}, key=lambda block: (_ORDER.index(block[0]), block[1]))
        depth = {block: index / max(1, len(blocks) - 1) for index, block in enumerate(blocks)}
        full = [depth[place[:2]] if weight_type == EASE_OUT else 1 - depth[place[:2]] for place in places]
        return tuple(weight * (_LEAST + (1 - _LEAST) * share) for share in full)
    known = _BLOCKS.get(token_width, {})
    chosen = set().union(*(known.get(kind, set()) for kind in (STYLE, COMPOSITION) if kind in weight_type))
    shaped = tuple(weight if place[:2] in chosen else 0.0 for place in places)
    if not any(shaped) and weight:
        raise ValueError(
            f"The weight type '{weight_type}' names blocks of SD 1.5 and SDXL, and this UNet has none of them. "
            "Choose linear."
        )
    return shaped


@dataclass(eq=False)
class Influence:
    """One adapter with its tokens, at one weight. Nothing that it computes with ever changes.

    ``positive`` and ``negative`` are ``[1, tokens, width]``; ``strengths`` has a value per cross-attention; ``mask``
    is None or ``[M,H,W]`` in 0..1; it acts at noise levels ``sigma_end <= sigma <= sigma_start``, at all of them when
    ``always``. Tensors stay where they were made; copies for the device that computes are kept until ``to``
    says to let go of them.
    """

    adapter: IPAdapter
    positive: torch.Tensor
    negative: torch.Tensor
    strengths: tuple[float, ...]
    mask: torch.Tensor | None = None
    sigma_start: float = 0.0
    sigma_end: float = 0.0
    always: bool = True
    _copies: dict = field(default_factory=dict, repr=False)

    def to(self, device: torch.device) -> None:
        """Drop the copies on other devices than ``device``."""
        self._copies = {key: value for key, value in self._copies.items() if key[0] == device}

    def term(
        self,
        index: int,
        query: torch.Tensor,
        sides: Sequence[int],
        sigmas: torch.Tensor | None,
        grid: tuple[int, int],
        attend: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
        windows: Sequence[Window | None] = (),
    ) -> torch.Tensor | None:
        """What to add to cross-attention ``index`` (file order), before its output projection; None for nothing.

        ``query`` ``[B, h*w, channels]`` holds ``len(sides)`` chunks of equal size; a chunk whose side is 0 is
        conditioned, any other is not (ComfyUI's ``cond_or_uncond``). ``sigmas`` is compared on its device: no
        synchronisation. ``grid`` is ``(h, w)``. ``attend(query, keys, values)`` is multi-head attention. ``windows``
        says what each chunk shows of the picture, None (or no windows at all) being all of it: the mask follows.
        """
        strength = self.strengths[index]
        if not strength:
            return None
        used = sorted({side != 0 for side in sides})
        tokens = torch.cat([self._tokens(side, query) for side in used])
        batch = len(query) // len(sides)
        order = [used.index(side != 0) for side in sides]
        keys, values = (
            torch.cat([projected[row : row + 1].expand(batch, -1, -1) for row in order])
            for projected in self._project(index, tokens)
        )
        out = attend(query, keys, values) * strength
        if self.mask is not None:
            shown = windows or (None,) * len(sides)
            out = out * torch.cat([self._mask(grid, batch, query, window) for window in shown])
        if not self.always and sigmas is not None:
            sigma = sigmas.flatten()[:1]
            out = out * ((sigma <= self.sigma_start) & (sigma >= self.sigma_end)).to(out.dtype)
        return out

    def _project(self, index: int, tokens: torch.Tensor) -> list[torch.Tensor]:
        """Keys and values. Weights that were left elsewhere for want of memory come over for the moment."""
        layers = (self.adapter.keys[index], self.adapter.values[index])
        return [functional.linear(tokens, layer.weight.to(tokens)) for layer in layers]

    def _tokens(self, negative: bool, like: torch.Tensor) -> torch.Tensor:
        return self._copy((like.device, like.dtype, negative), lambda: self.negative if negative else self.positive)

    def _mask(self, grid: tuple[int, int], batch: int, like: torch.Tensor, window: Window | None) -> torch.Tensor:
        """``[batch, h*w, 1]``; masks are repeated or cut to the batch. Bicubic, as diffusers resizes them."""

        def resized() -> torch.Tensor:
            seen = self.mask if window is None else window.cut(self.mask)
            small = functional.interpolate(seen[:, None].float(), size=grid, mode="bicubic")
            return small.flatten(1)[..., None]

        mask = self._copy((like.device, like.dtype, grid, window), resized)
        return mask.repeat(-(-batch // len(mask)), 1, 1)[:batch]

    def _copy(self, key: tuple, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        if key not in self._copies:
            self._copies[key] = make().to(key[0], key[1])
        return self._copies[key]
