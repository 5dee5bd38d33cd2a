"""Reference images as an image encoder sees them: check, collect and combine into IP-Adapter tokens."""

from dataclasses import dataclass

import torch

from .ip_adapter import IPAdapter, Layout

CONCAT = "concat"
AVERAGE = "average"
WEIGHTED = "weighted average"
COMBINATIONS = (CONCAT, AVERAGE, WEIGHTED)

_H = ("CLIP ViT-H", "models/image_encoder/model.safetensors of h94/IP-Adapter")
_BIGG = ("CLIP ViT-bigG", "sdxl_models/image_encoder/model.safetensors of h94/IP-Adapter")
_L = ("CLIP ViT-L", "model.safetensors of openai/clip-vit-large-patch14")
# By whether the output is pooled, then by its width.
_ENCODERS = {True: {1024: _H, 1280: _BIGG, 768: _L}, False: {1280: _H, 1664: _BIGG, 1024: _L}}


@dataclass(frozen=True)
class Reference:
    """One image's encoder output ``positive``, that of what to steer away from, and its share in an average.

    Both are ``[dim]`` (pooled) or ``[patches, dim]`` (penultimate layer), float32 on the CPU.
    """

    positive: torch.Tensor
    negative: torch.Tensor
    weight: float = 1.0


@dataclass(frozen=True)
class References:
    """Encoded reference images: what travels on the IMAGEINE_IP_EMBEDS socket. Never changed, only joined."""

    items: tuple[Reference, ...]

    def __add__(self, other: "References") -> "References":
        return References(self.items + other.items)


def collect(positive: torch.Tensor, negative: torch.Tensor, weight: float = 1.0) -> References:
    """``[N, ...]`` outputs of the encoder -> references; ``negative`` has any batch size and is repeated to N."""
    positive, negative = (one.detach().float().cpu() for one in (positive, negative))
    return References(
        tuple(Reference(one, negative[index % len(negative)], weight) for index, one in enumerate(positive))
    )


def check_encoder(layout: Layout, width: int) -> None:
    """Make sure that encoder output of ``width`` fits the adapter; raises ``ValueError`` naming both encoders."""
    if width == layout.embed_width:
        return
    known = _ENCODERS[layout.pooled]
    needed, file = known.get(layout.embed_width, (f"an image encoder of width {layout.embed_width}", ""))
    given = known.get(width, ("another image encoder", ""))[0]
    fetch = f" Put {file} into models/clip_vision and load it with Load CLIP Vision." if file else ""
    raise ValueError(
        f"The image encoder does not fit the IP-Adapter: this {layout.kind} adapter for {layout.base} was made for "
        f"{needed} (width {layout.embed_width}), but the reference was encoded by {given} (width {width}).{fetch}"
    )


def check(layout: Layout, references: References) -> None:
    """Make sure that ``references`` were encoded for an adapter of this layout; raises ``ValueError`` if not."""
    for item in references.items:
        if (item.positive.ndim == 1) != layout.pooled:
            kinds = ("every patch", "the whole image") if layout.pooled else ("the whole image", "every patch")
            raise ValueError(
                f"The embeds describe {kinds[0]}, but a {layout.kind} IP-Adapter takes {kinds[1]}. Encode the "
                "reference again with this adapter connected to Encode Reference."
            )
        check_encoder(layout, item.positive.shape[-1])


def tokens(adapter: IPAdapter, references: References, combination: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Tokens of what to show and of what to avoid: two ``[1, tokens, width]`` float32 tensors on the CPU.

    "concat" lets every image keep tokens of its own, side by side, as diffusers does; the averages mix the
    encoder's outputs, "weighted average" by each reference's weight. Raises ``ValueError`` for weights that sum to 0.
    """
    sides = [torch.stack([getattr(item, side) for item in references.items]) for side in ("positive", "negative")]
    if combination != CONCAT:
        shares = torch.tensor([item.weight if combination == WEIGHTED else 1.0 for item in references.items])
        total = float(shares.sum())
        if abs(total) < 1e-6:
            raise ValueError(f"The weights of the references sum to {total:g}. Give at least one a weight above 0.")
        sides = [torch.tensordot(shares / total, side, dims=1)[None] for side in sides]
    device = next(adapter.parameters()).device
    positive, negative = (adapter.tokens(side.to(device)).flatten(0, 1)[None].cpu() for side in sides)
    return positive, negative
