"""IP-Adapter files: their layout, read from the tensors alone, and the network in them.

A file has two parts. ``image_proj`` turns what an image encoder sees into tokens; ``ip_adapter`` holds, for every
cross-attention of the UNet (down, up, then middle blocks), the projections of those tokens to keys and values
(Ye et al. 2023, arXiv 2308.06721).
"""

from dataclasses import dataclass

import torch
from torch import nn

from . import ip_projectors

STANDARD = "standard"
PLUS = "plus"
FULL = "full"

BASES = {768: "SD 1.5", 2048: "SDXL"}  # by the size of a token, the width of the base model's text encoding

_FACE_ID = ("perceiver_resampler.", "proj.2.", "lora.")
_PARTS = {"image_proj": "image_proj", "ip_adapter": "ip_adapter", "adapter_modules": "ip_adapter"}


@dataclass(frozen=True)
class Layout:
    """What a file is: ``kind`` (standard, plus or full), the encoder's width it takes, the tokens' width."""

    kind: str
    embed_width: int
    token_width: int

    @property
    def base(self) -> str:
        return BASES.get(self.token_width, f"a model with text of width {self.token_width}")

    @property
    def pooled(self) -> bool:
        """Whether it takes the encoder's pooled embedding; else the penultimate layer, all patches."""
        return self.kind == STANDARD


class IPAdapter(nn.Module):
    """The network of one file: ``projector``, and ``keys[n]``, ``values[n]`` per cross-attention n."""

    def __init__(self, layout: Layout, projector: nn.Module, pairs: list[tuple[torch.Tensor, torch.Tensor]]):
        super().__init__()
        self.layout = layout
        self.projector = projector
        self.keys = nn.ModuleList(_linear(key) for key, _ in pairs)
        self.values = nn.ModuleList(_linear(value) for _, value in pairs)
        self.eval().requires_grad_(False)

    @property
    def widths(self) -> list[int]:
        """The channels of each cross-attention, in the file's order."""
        return [one.out_features for one in self.keys]

    def tokens(self, embeds: torch.Tensor) -> torch.Tensor:
        """``[N, ...]`` encoder output -> ``[N, tokens, token_width]`` float32, computed where the weights are."""
        weight = next(self.projector.parameters())
        return self.projector(embeds.to(weight)).float()


def from_state(state: dict, name: str = "the file") -> IPAdapter:
    """The adapter in ``state``, the tensors of a .bin or .safetensors file called ``name``; weights keep float32.

    Raises ``ValueError`` for a FaceID adapter, a file of another kind and one whose tensors do not fit together.
    """
    parts = _split(state)
    projector, attention = parts["image_proj"], parts["ip_adapter"]
    if not projector or not attention:
        raise ValueError(
            f"{name} is not an IP-Adapter: it has no {'image_proj' if not projector else 'ip_adapter'} tensors, but "
            f"{', '.join(sorted(map(str, state))[:3]) or 'nothing at all'}. Choose a file of h94/IP-Adapter."
        )
    try:
        pairs = _pairs(attention)
        layout = _layout(projector, pairs, name)
        return IPAdapter(layout, ip_projectors.build(projector, layout.token_width), pairs)
    except (KeyError, IndexError, RuntimeError) as error:
        raise ValueError(
            f"{name} looks like an IP-Adapter, but its tensors do not fit together ({str(error)[:200]}). It may be "
            "damaged or of a kind not known here; standard, plus, plus-face and full-face adapters are."
        ) from error


def _split(state: dict) -> dict[str, dict[str, torch.Tensor]]:
    """``state`` by part; .bin files nest the parts, safetensors files put their names before a dot."""
    parts: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for key, value in state.items():
        part, _, rest = str(key).partition(".")
        if part not in _PARTS:
            continue
        inner = value if isinstance(value, dict) else {rest: value}
        parts[_PARTS[part]].update(inner)
    return parts


def _pairs(attention: dict[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Keys' and values' projections in the file's order, which is that of their numbers."""
    numbers = sorted({int(name.split(".")[0]) for name in attention if name.endswith(".to_k_ip.weight")})
    return [tuple(attention[f"{number}.to_{kind}_ip.weight"] for kind in "kv") for number in numbers]


def _layout(projector: dict[str, torch.Tensor], pairs: list, name: str) -> Layout:
    width = pairs[0][0].shape[1]
    if "proj.weight" in projector:
        return Layout(STANDARD, projector["proj.weight"].shape[1], width)
    if "proj.3.weight" in projector:
        return Layout(FULL, projector["proj.0.weight"].shape[1], width)
    if any(key.startswith(_FACE_ID) for key in projector):
        raise ValueError(
            f"{name} is a FaceID adapter, which needs a face recognition model instead of CLIP Vision and is not "
            "supported. Use a plus-face or full-face adapter for faces."
        )
    return Layout(PLUS, projector["proj_in.weight"].shape[1], width)


def _linear(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight.float(), requires_grad=False)
    return layer
