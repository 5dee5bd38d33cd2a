"""The demo's depth ControlNet for the trained painter, in the original single-file layout.

It was trained 64 channels wide (demo/control.py) and is widened here as the painter is. The stack that brings a depth
map down to the latents' size is set by hand: it gives the mean of every 8x8 pixels.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from . import layouts, trained_painter
from .widening import filled

if TYPE_CHECKING:
    from .filling import Tensors

WEIGHTS = Path(__file__).with_name("weights") / "control.safetensors"

# Channels and stride of the stack's convolutions but the last.
_STACK = tuple(zip(layouts.HINT_WIDTHS, (1, 1, 2, 1, 2, 1, 2), strict=True))


def save(path: Path) -> Path:
    """Write ``tensors(narrow())`` to ``path`` as safetensors in float16. Raises ``OSError`` without the weights."""
    return trained_painter.write(path, {name: tensor.half() for name, tensor in tensors(narrow()).items()})


def narrow(path: Path = WEIGHTS) -> "Tensors":
    """The ControlNet as it was trained, float32 (stored as float16)."""
    return trained_painter.narrow(path)


def tensors(trained: "Tensors") -> "Tensors":
    """``trained`` (``narrow()``) in the shapes of ``layouts.control_net("lite")``, computing the same."""
    import torch

    made = hint_stack()
    weight = torch.cat([trained["hint.weight"], -trained["hint.weight"]], 1)
    last = f"input_hint_block.{2 * len(_STACK)}"
    hint = {f"{last}.weight": filled(weight, 1, _STACK[-1][0]), f"{last}.bias": trained["hint.bias"]}
    return {
        name: made[name] if name in made else trained_painter.widened(name, (trained | hint)[name], shape)
        for name, shape in layouts.control_net("lite").items()
    }


def hint_stack() -> "Tensors":
    """All but the last convolution of ``input_hint_block``: grey in 0..1 -> the mean of every 8x8 pixels, channel 0.

    Each SiLU gets x and -x in two channels, since silu(x) - silu(-x) = x.
    """
    import torch

    made, width = {}, 3
    for place, (out, stride) in enumerate(_STACK):
        weight = torch.zeros(out, width, 3, 3)
        kernel = torch.zeros(3, 3)
        if stride == 1:
            kernel[1, 1] = 1
        else:  # with a padding of 1 the middle and the next are the two that belong together
            kernel[1:, 1:] = 0.25
        signs = torch.ones(width) / 3 if place == 0 else torch.tensor((1.0, -1.0))
        for channel, sign in enumerate((1.0, -1.0)):
            weight[channel, : len(signs)] = sign * signs[:, None, None] * kernel
        made[f"input_hint_block.{2 * place}.weight"] = weight
        made[f"input_hint_block.{2 * place}.bias"] = torch.zeros(out)
        width = out
    return made
