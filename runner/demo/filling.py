"""Seeded random values for named tensors, and the two hand-set networks that make the results worth looking at.

torch is imported inside the functions: the runner itself works without it.
"""

import hashlib
import math
from typing import TYPE_CHECKING

from .layouts import CHANNELS, LATENT_CHANNELS, Shapes

if TYPE_CHECKING:
    import torch

    Tensors = dict[str, torch.Tensor]

GROUPS = 32

# Gains of the layers that close a residual branch, so that activations stay near unit variance however deep.
UNET_GAINS = {"out_layers.3.": 0.5, "proj_out.": 0.5, "to_out.0.": 0.7, "ff.net.2.": 0.7}
CLIP_GAINS = {"out_proj.": 0.5, "fc2.": 0.5}
TAESD_GAINS = {"conv.4.": 0.3}
KL_GAINS = {"conv2.": 0.4, "attn_1.proj_out.": 0.3}

# Latent units per unit of brightness in the block-mean autoencoder: photos then have a latent deviation near 1.
BLOCK_SCALE = 4.0

_NORMS = ("norm", "layernorm", "in_layers.0.", "out_layers.0.", "out.0.")
_POOL_SIZE = (1 << 24) + 10007
_pools: dict[int, "torch.Tensor"] = {}


def noise(shape: tuple[int, ...], key: str) -> "torch.Tensor":
    """Unit-variance float32 noise that depends on ``key`` alone.

    Slices of one pool at an offset drawn from the key: making 160 million values takes a second, not ten.
    """
    import torch

    if not _pools:
        _pools[0] = torch.randn(_POOL_SIZE, generator=torch.Generator().manual_seed(20240501))
    pool = _pools[0]
    offset = int.from_bytes(hashlib.sha256(key.encode()).digest()[:7], "little") % _POOL_SIZE
    count = math.prod(shape)
    out, done = torch.empty(count), 0
    while done < count:
        part = pool[offset : offset + count - done]
        out[done : done + len(part)] = part
        done, offset = done + len(part), 0
    return out.view(shape)


def forget_noise() -> None:
    """Free the pool (64 MB)."""
    _pools.clear()


def value(name: str, shape: tuple[int, ...], seed: str, gains: dict[str, float]) -> "torch.Tensor":
    """The float32 value of tensor ``name``: N(0, gain²/fan-in) for weights, near 1 for norms, near 0 for biases."""
    import torch

    if name.endswith("position_ids"):
        return torch.arange(shape[-1]).expand(shape).contiguous()
    if name.endswith("vae_scale"):
        return torch.ones(shape)
    if name.endswith("vae_shift"):
        return torch.zeros(shape)
    sample = noise(shape, f"{seed}:{name}")
    if len(shape) <= 1:
        is_norm = name.endswith("weight") and any(part in name.lower() for part in _NORMS)
        return 1 + 0.05 * sample if is_norm else 0.02 * sample
    if "embedding.weight" in name:
        return 0.02 * sample
    gain = next((gain for part, gain in gains.items() if part in name), 1.0)
    return sample * (gain / math.sqrt(math.prod(shape[1:])))


def fill(shapes: Shapes, seed: str, gains: dict[str, float]) -> "Tensors":
    """Float32 values for every name in ``shapes``; see ``value``."""
    return {name: value(name, shape, seed, gains) for name, shape in shapes.items()}


def calm_unet(tensors: "Tensors", amount: float) -> "Tensors":
    """Turn a random UNet, in place, into "the noise that came in, plus ``amount`` times something random".

    A random network predicts noise that has nothing to do with the latent, and sampling then ends far outside
    the range an autoencoder decodes. This one routes each of the four latent channels past everything, through
    the ten channels of one normalisation group: half of them carry +x, half -x, and since
    silu(x) - silu(-x) = x the last convolution gives x back, divided by its deviation.
    """
    per_group = CHANNELS // GROUPS
    carried = LATENT_CHANNELS * per_group
    last = max(int(name.split(".")[1]) for name in tensors if name.startswith("output_blocks."))
    block = f"output_blocks.{last}."
    sign = [1.0 if index < per_group // 2 else -1.0 for index in range(per_group)]

    for layer in ("input_blocks.0.0.", block + "0.skip_connection.", block + "0.out_layers.3.", block + "1.proj_out."):
        if layer + "weight" in tensors:
            tensors[layer + "weight"][:carried] = 0
            tensors[layer + "bias"][:carried] = 0
    tensors["out.0.weight"][:carried] = 1
    tensors["out.0.bias"][:carried] = 0
    tensors["out.2.weight"] *= amount
    tensors["out.2.bias"] *= amount
    tensors["out.2.weight"][:, :carried] = 0

    skip = tensors[block + "0.skip_connection.weight"]
    for index in range(carried):
        channel, member = divmod(index, per_group)
        tensors["input_blocks.0.0.weight"][index, channel, 1, 1] = sign[member]
        skip[index, skip.shape[1] - CHANNELS + index] = 1.0
        tensors["out.2.weight"][channel, index, 1, 1] = sign[member] * 2.0 / per_group
    return tensors


def block_mean(shapes: Shapes) -> "Tensors":
    """TAESD weights that make an exact autoencoder of 8x8 block means.

    Latent channels 0..2 hold ``BLOCK_SCALE * (mean - 0.5)`` of red, green and blue; the decoder paints each block
    in its colour. So a decoded picture keeps the photo's colours and places. ReLUs do no harm: brightness is
    never negative. Residual blocks are zero, hence the identity.
    """
    import torch

    from .layouts import TAESD_DECODER, TAESD_ENCODER

    tensors = {name: torch.zeros(shape) for name, shape in shapes.items()}
    tensors["vae_scale"].fill_(1)
    for stack, places in (("taesd_encoder", TAESD_ENCODER), ("taesd_decoder", TAESD_DECODER)):
        for place, kind in places.items():
            weight = tensors.get(f"{stack}.{place}.weight")
            for colour in range(0 if kind == "block" else 3):
                if kind == "half":
                    weight[colour, colour, 1:, 1:] = 0.25
                else:
                    weight[colour, colour, 1, 1] = 1.0
    last, first = "taesd_encoder.14.", "taesd_decoder.1."
    tensors[last + "weight"] *= BLOCK_SCALE
    tensors[last + "bias"][:3] = -BLOCK_SCALE / 2
    tensors[first + "weight"] /= BLOCK_SCALE
    tensors[first + "bias"][:3] = 0.5
    return tensors


def smooth_block_mean(shapes: Shapes) -> "Tensors":
    """``block_mean`` with a decoder that also undoes its own clamp and blends the blocks into each other.

    The decoder begins with y = 3 tanh(z / 3), which takes a tenth of the contrast away. Its inverse is put together
    of ``_HINGES`` ramps a colour, exact to a quarter of an 8-bit level. After each doubling a 3x3 binomial filter makes
    the enlargement a bilinear one. Flat colours stay as they are up to the picture's edge, where the convolutions'
    zeros would darken them: there ``_keep_border`` takes the unfiltered pixel.
    """
    import torch

    from .layouts import TAESD_DECODER

    tensors = block_mean(shapes)
    decoder = {place: f"taesd_decoder.{place}." for place in TAESD_DECODER}
    knots, slopes = _inverse_clamp()
    first, bias = tensors[decoder[1] + "weight"].zero_(), tensors[decoder[1] + "bias"].zero_()
    ramps = torch.zeros(3, first.shape[0])
    for colour in range(3):
        channels = slice(colour * _HINGES, (colour + 1) * _HINGES)
        first[channels, colour, 1, 1] = 1.0
        bias[channels] = -knots
        ramps[colour, channels] = slopes
    bias[3 * _HINGES] = 1.0
    colours, constant = ramps, 3 * _HINGES
    for place, kind in TAESD_DECODER.items():
        if kind == "double":
            _blend(tensors[decoder[place] + "weight"].zero_(), colours, constant)
            _keep_border(tensors, decoder[place + 1])
            colours, constant = torch.eye(3, first.shape[0]), _CONSTANT
    return tensors


_HINGES = 20
# Channels after a doubling: 0..2 the blended colours, 3..5 the unblended ones, and one that is 1 everywhere.
_CONSTANT = 6
# Above every brightness, so that a ReLU can shut one off.
_SHUT = 4.0


def _inverse_clamp() -> "tuple[torch.Tensor, torch.Tensor]":
    """Where the ramps begin and how much each adds to the slope, both ``[_HINGES]``: clamped latent -> brightness."""
    import torch

    half = BLOCK_SCALE / 2
    ends = torch.linspace(-half, half, _HINGES + 1, dtype=torch.float64)
    knots = (3 * torch.tanh(ends / 3)).half().double()
    brightness = 3 * torch.atanh(knots / 3) / BLOCK_SCALE
    slopes = brightness.diff() / knots.diff()
    slopes[1:] = slopes.diff()
    return knots[:-1].float(), slopes.float()


def _blend(weight: "torch.Tensor", colours: "torch.Tensor", constant: int) -> None:
    """Fill a convolution ``[64,64,3,3]``: colours blended, colours as they are, and the constant, which shows edges."""
    import torch

    kernel = torch.tensor([1.0, 2.0, 1.0]).outer(torch.tensor([1.0, 2.0, 1.0])) / 16
    weight[0:3] = colours[..., None, None] * kernel
    weight[3:6, :, 1, 1] = colours
    weight[_CONSTANT, constant] = kernel


def _keep_border(tensors: "Tensors", block: str) -> None:
    """Fill a residual block: channels 0..2 take over from 3..5 in the outermost row of pixels; the constant is 1 again.

    The blended constant is 1 inside, 3/4 at an edge and 9/16 in a corner, so that relu(4 x - 3) tells inside from edge.
    """
    first, second, third = (tensors[f"{block}conv.{layer}.weight"] for layer in (0, 2, 4))
    inside, edge = 6, 7
    for index in range(6):
        first[index, index, 1, 1] = 1.0
        second[index, index, 1, 1] = 1.0
        second[index, inside, 1, 1] = _SHUT if index < 3 else -_SHUT
        second[8 + index, index, 1, 1] = 1.0
        third[index % 3, index, 1, 1] = 1.0
        third[index, 8 + index, 1, 1] = -1.0
    tensors[f"{block}conv.2.bias"][:3] = -_SHUT
    first[inside, _CONSTANT, 1, 1], tensors[f"{block}conv.0.bias"][inside] = 4.0, -3.0
    first[edge, _CONSTANT, 1, 1] = 1.0
    second[14, edge, 1, 1] = 1.0
    third[_CONSTANT, 14, 1, 1], tensors[f"{block}conv.4.bias"][_CONSTANT] = -1.0, 1.0
