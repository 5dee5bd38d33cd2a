"""The networks that turn an image encoder's output into IP-Adapter tokens.

Module and parameter names are those of the published files (tencent-ailab/IP-Adapter), so that a file's ``image_proj``
part loads as it is. Every ``forward`` takes one row per image and gives ``[N, tokens, width]``.
"""

import torch
from torch import nn
from torch.nn import functional

_HEAD = 64  # channels per attention head of the resampler, in all published adapters


class ImageProjector(nn.Module):
    """Layout "standard": the pooled embedding ``[N, dim]`` becomes a few tokens."""

    def __init__(self, dim: int, tokens: int, width: int):
        super().__init__()
        self.tokens = tokens
        self.proj = nn.Linear(dim, tokens * width)
        self.norm = nn.LayerNorm(width)

    def forward(self, embeds: torch.Tensor) -> torch.Tensor:
        return self.norm(self.proj(embeds).reshape(len(embeds), self.tokens, -1))


class FaceProjector(nn.Module):
    """Layout "full": every patch of the penultimate layer ``[N, patches, dim]`` becomes a token."""

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.proj = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, width), nn.LayerNorm(width))

    def forward(self, embeds: torch.Tensor) -> torch.Tensor:
        return self.proj(embeds)


class Resampler(nn.Module):
    """Layout "plus": learned queries gather the penultimate layer ``[N, patches, dim]`` into a few tokens.

    A Perceiver resampler (Flamingo, arXiv 2204.14198, section 3.1.1).
    """

    def __init__(self, dim: int, tokens: int, inner: int, heads: int, depth: int, hidden: int, width: int):
        super().__init__()
        self.latents = nn.Parameter(torch.zeros(1, tokens, inner))
        self.proj_in = nn.Linear(dim, inner)
        self.layers = nn.ModuleList(
            nn.ModuleList([_Gather(inner, heads), _feed_forward(inner, hidden)]) for _ in range(depth)
        )
        self.proj_out = nn.Linear(inner, width)
        self.norm_out = nn.LayerNorm(width)

    def forward(self, embeds: torch.Tensor) -> torch.Tensor:
        patches = self.proj_in(embeds)
        queries = self.latents.expand(len(embeds), -1, -1)
        for gather, feed_forward in self.layers:
            queries = gather(patches, queries) + queries
            queries = feed_forward(queries) + queries
        return self.norm_out(self.proj_out(queries))


class _Gather(nn.Module):
    """The queries attend to the patches and to each other."""

    def __init__(self, inner: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(inner)
        self.norm2 = nn.LayerNorm(inner)
        self.to_q = nn.Linear(inner, heads * _HEAD, bias=False)
        self.to_kv = nn.Linear(inner, 2 * heads * _HEAD, bias=False)
        self.to_out = nn.Linear(heads * _HEAD, inner, bias=False)

    def forward(self, patches: torch.Tensor, queries: torch.Tensor) -> torch.Tensor:
        queries = self.norm2(queries)
        keys, values = self.to_kv(torch.cat([self.norm1(patches), queries], dim=1)).chunk(2, dim=-1)
        split = [part.unflatten(-1, (self.heads, _HEAD)).transpose(1, 2) for part in (self.to_q(queries), keys, values)]
        return self.to_out(functional.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))


def _feed_forward(inner: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(inner), nn.Linear(inner, hidden, bias=False), nn.GELU(), nn.Linear(hidden, inner, bias=False)
    )


def build(state: dict[str, torch.Tensor], width: int) -> nn.Module:
    """The projector whose parameters are ``state``, all dimensions read from them, weights loaded.

    ``width`` is the size of a token, which the key and value projections of the same file tell. Raises ``KeyError`` or
    ``RuntimeError`` when ``state`` holds another network.
    """
    if "proj.weight" in state:
        out, dim = state["proj.weight"].shape
        module = ImageProjector(dim, out // width, width)
    elif "proj.3.weight" in state:
        module = FaceProjector(state["proj.0.weight"].shape[1], width)
    else:
        _, tokens, inner = state["latents"].shape
        depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
        module = Resampler(
            dim=state["proj_in.weight"].shape[1],
            tokens=tokens,
            inner=inner,
            heads=state["layers.0.0.to_q.weight"].shape[0] // _HEAD,
            depth=depth,
            hidden=state["layers.0.1.1.weight"].shape[0],
            width=width,
        )
    module.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    return module
