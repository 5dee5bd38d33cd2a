"""The painter: Stable Diffusion 1.5's inpainting UNet, 64 channels wide, in the "lite" layout of ``runner.demo``.

Tensors are named as in the single-file checkpoint, so that ``runner.demo.trained_painter`` can widen them to its 320
channels without a change of what they compute. Two things differ from a UNet that is simply made narrow:

- Attention divides by the root of the *wide* head's 40 channels, since that is what the widened one does.
- A prompt is a list of word numbers (``trained_painter.CONCEPTS``), not of embeddings. The painter's text encoder
  gives zeros for every token that is not among its words, so all others of the 77 have score 0 and value 0.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from imageine.runner.demo.layouts import CHANNELS, CLIP_LENGTH, LATENT_CHANNELS
from imageine.runner.demo.trained_painter import CONCEPTS, WIDTH
from torch import nn

HEADS = 8
_SCALE = (CHANNELS / HEADS) ** -0.5
_TIME = 4 * WIDTH
_FIRST_SCORE = 5.0


class Painter(nn.Module):
    """Predicts the noise in ``[N,9,h,w]`` (noisy latents, mask, latents of the masked photo); h and w even.

    ``timesteps`` ``[N]``, 0..999. ``words`` ``[N,L,len(CONCEPTS)]``: rows one-hot, or 0 where a prompt is shorter.
    ``control``: what a ControlNet adds to the skips, in their order, and then to the middle.
    """

    def __init__(self):
        super().__init__()
        narrow, wide = WIDTH, 2 * WIDTH
        self.time_embed, self.input_blocks, self.middle_block = _half(2 * LATENT_CHANNELS + 1)
        self.output_blocks = nn.ModuleList(
            [
                nn.ModuleList([_ResBlock(wide), _Transformer()]),
                nn.ModuleList([_ResBlock(wide), _Transformer(), _Upsample()]),
                nn.ModuleList([_ResBlock(wide)]),
                nn.ModuleList([_ResBlock(wide)]),
            ]
        )
        self.out = nn.Sequential(nn.GroupNorm(32, narrow), nn.SiLU(), nn.Conv2d(narrow, LATENT_CHANNELS, 3, padding=1))

    def forward(
        self, x: torch.Tensor, timesteps: torch.Tensor, words: torch.Tensor, control: Sequence[torch.Tensor] = ()
    ) -> torch.Tensor:
        time = F.silu(self.time_embed(_sinusoids(timesteps)))
        skips = []
        for block in self.input_blocks:
            x = _run(block, x, time, words)
            skips.append(x)
        x = _run(self.middle_block, x, time, words)
        if control:
            skips = [skip + extra for skip, extra in zip(skips, control, strict=False)]
            x = x + control[-1]
        for block in self.output_blocks:
            x = _run(block, torch.cat([x, skips.pop()], 1), time, words)
        return self.out(x)


class Control(nn.Module):
    """A ControlNet for ``Painter``: a copy of its half that goes down, which also sees how near everything is."""

    def __init__(self):
        super().__init__()
        self.time_embed, self.input_blocks, self.middle_block = _half(LATENT_CHANNELS)
        self.hint = nn.Conv2d(1, WIDTH, 3, padding=1)
        self.zero_convs = nn.ModuleList(nn.ModuleList([nn.Conv2d(WIDTH, WIDTH, 1)]) for _ in self.input_blocks)
        self.middle_block_out = nn.ModuleList([nn.Conv2d(WIDTH, WIDTH, 1)])

    def begin(self, painter: Painter) -> "Control":
        """Start as ``painter``'s copy that adds nothing (Zhang et al. 2023, section 3.1); returns itself."""
        state = painter.state_dict()
        state["input_blocks.0.0.weight"] = state["input_blocks.0.0.weight"][:, :LATENT_CHANNELS]
        self.load_state_dict({name: state.get(name, tensor) for name, tensor in self.state_dict().items()})
        for conv in (*(layer[0] for layer in self.zero_convs), self.middle_block_out[0]):
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(conv.bias)
        return self

    def forward(
        self, x: torch.Tensor, near: torch.Tensor, timesteps: torch.Tensor, words: torch.Tensor
    ) -> list[torch.Tensor]:
        """``Painter``'s ``control`` for noisy latents ``[N,4,h,w]`` and depth maps ``[N,1,h,w]``, 1 the nearest."""
        time = F.silu(self.time_embed(_sinusoids(timesteps)))
        found = []
        for place, (block, (zero,)) in enumerate(zip(self.input_blocks, self.zero_convs, strict=True)):
            x = _run(block, x, time, words)
            if place == 0:
                x = x + self.hint(near)
            found.append(zero(x))
        found.append(self.middle_block_out[0](_run(self.middle_block, x, time, words)))
        return found


def _half(channels: int) -> tuple[nn.Sequential, nn.ModuleList, nn.ModuleList]:
    """The half that goes down: the time's layers, the input blocks for ``channels``, the middle."""
    time_embed = nn.Sequential(nn.Linear(WIDTH, _TIME), nn.SiLU(), nn.Linear(_TIME, _TIME))
    input_blocks = nn.ModuleList(
        [
            nn.ModuleList([nn.Conv2d(channels, WIDTH, 3, padding=1)]),
            nn.ModuleList([_ResBlock(WIDTH)]),
            nn.ModuleList([_Downsample()]),
            nn.ModuleList([_ResBlock(WIDTH), _Transformer()]),
        ]
    )
    return time_embed, input_blocks, nn.ModuleList([_ResBlock(WIDTH), _Transformer(), _ResBlock(WIDTH)])


def initialise(painter: Painter, seed: int) -> Painter:
    """Seeded weights: branches nearly closed, and the noisy latents routed to the output.

    Each latent passes through the two channels of one normalisation group, as +x and -x: silu(x) - silu(-x) = x, so
    that the first prediction is "all of it is noise", which is nearly right where there is much of it. Words begin with
    a score that outweighs the seventy tokens that say nothing; left to chance they are hardly heard, nor ever learnt.
    """
    generator = torch.Generator().manual_seed(seed)
    closing = ("out_layers.3.", "proj_out.", "to_out.0.", "ff.net.2.", "out.2.")
    with torch.no_grad():
        for name, tensor in painter.named_parameters():
            if tensor.ndim == 1:
                tensor.fill_(float(name.endswith("weight")))
                continue
            gain = 0.1 if any(part in name for part in closing) else 1.0
            fan_in = 1 if ".attn2.to_k" in name or ".attn2.to_v" in name else math.prod(tensor.shape[1:])
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * (gain / math.sqrt(fan_in)))
        for block in painter.modules():
            if isinstance(block, _TransformerBlock):
                _listen(block)
        last = painter.output_blocks[-1][0]
        first, skip, out = painter.input_blocks[0][0].weight, last.skip_connection.weight, painter.out[2].weight
        carried = 2 * LATENT_CHANNELS
        for weight in (first, skip, last.out_layers[3].weight):
            weight[:carried] = 0
        out[:, :carried] = 0
        for index in range(carried):
            sign = 1.0 if index % 2 == 0 else -1.0
            first[index, index // 2, 1, 1] = sign
            skip[index, WIDTH + index] = 1.0
            out[index // 2, index, 1, 1] = sign
    return painter


def _listen(block: "_TransformerBlock") -> None:
    """Turn the keys of all words towards what the queries have in common, by ``_FIRST_SCORE``."""
    block.norm2.bias.fill_(1.0)
    common = block.attn2.to_q.weight.sum(1).unflatten(0, (HEADS, -1))
    towards = common / common.square().sum(1, keepdim=True) * (_FIRST_SCORE / _SCALE)
    block.attn2.to_k.weight.copy_(0.3 * block.attn2.to_k.weight + towards.flatten()[:, None])
    block.attn2.to_out[0].weight.mul_(5)


def _run(block: nn.ModuleList, x, time, words):
    for layer in block:
        if isinstance(layer, _ResBlock):
            x = layer(x, time)
        elif isinstance(layer, _Transformer):
            x = layer(x, words)
        else:
            x = layer(x)
    return x


def _sinusoids(timesteps: torch.Tensor) -> torch.Tensor:
    """``[N]`` -> ``[N,WIDTH]``: every fifth of the frequencies that the wide UNet uses."""
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(WIDTH // 2) / (WIDTH // 2))
    angles = timesteps[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], 1)


class _ResBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.in_layers = nn.Sequential(nn.GroupNorm(32, width), nn.SiLU(), nn.Conv2d(width, WIDTH, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.Identity(), nn.Linear(_TIME, WIDTH))
        self.out_layers = nn.Sequential(
            nn.GroupNorm(32, WIDTH), nn.SiLU(), nn.Identity(), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        )
        self.skip_connection = nn.Identity() if width == WIDTH else nn.Conv2d(width, WIDTH, 1)

    def forward(self, x, time):
        return self.skip_connection(x) + self.out_layers(self.in_layers(x) + self.emb_layers(time)[..., None, None])


class _Downsample(nn.Module):
    def __init__(self):
        super().__init__()
        self.op = nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1)

    def forward(self, x):
        return self.op(x)


class _Upsample(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2, mode="nearest"))


class _Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.GroupNorm(32, WIDTH, eps=1e-6)
        self.proj_in = nn.Conv2d(WIDTH, WIDTH, 1)
        self.transformer_blocks = nn.ModuleList([_TransformerBlock()])
        self.proj_out = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, x, words):
        tokens = self.proj_in(self.norm(x)).flatten(2).transpose(1, 2)
        tokens = self.transformer_blocks[0](tokens, words)
        return x + self.proj_out(tokens.transpose(1, 2).reshape(x.shape))


class _TransformerBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(WIDTH) for _ in range(3))
        self.attn1, self.attn2 = _Attention(WIDTH), _Attention(len(CONCEPTS))
        self.ff = nn.Module()
        self.ff.net = nn.ModuleList([_GatedGelu(), nn.Identity(), nn.Linear(4 * WIDTH, WIDTH)])

    def forward(self, x, words):
        normed = self.norm1(x)
        x = x + self.attn1(normed, normed, 0)
        x = x + self.attn2(self.norm2(x), words, CLIP_LENGTH - words.shape[1])
        return x + self.ff.net[2](self.ff.net[0](self.norm3(x)))


class _GatedGelu(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(WIDTH, 8 * WIDTH)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, -1)
        return value * F.gelu(gate)


class _Attention(nn.Module):
    def __init__(self, source: int):
        super().__init__()
        self.to_q = nn.Linear(WIDTH, WIDTH, bias=False)
        self.to_k = nn.Linear(source, WIDTH, bias=False)
        self.to_v = nn.Linear(source, WIDTH, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(WIDTH, WIDTH)])

    def forward(self, x, source, zeros: int):
        """``zeros``: how many tokens of zeros there are beside ``source``; one row stands for all of them."""
        query, key, value = (
            part.unflatten(2, (HEADS, -1)).transpose(1, 2)
            for part in (self.to_q(x), self.to_k(source), self.to_v(source))
        )
        bias = None
        if zeros:
            key, value = F.pad(key, (0, 0, 0, 1)), F.pad(value, (0, 0, 0, 1))
            bias = key.new_zeros(1, 1, 1, key.shape[2])
            bias[..., -1] = math.log(zeros)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=_SCALE)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))
