"""Making a narrow network's tensors wide without a change of what they compute.

Channels that are normalised stand there several times, of which the first is read; others are filled up with zeros.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def filled(tensor: "torch.Tensor", axis: int, length: int) -> "torch.Tensor":
    """``tensor`` with zeros after it along ``axis``, up to ``length``."""
    shape = list(tensor.shape)
    shape[axis] = length
    wide = tensor.new_zeros(shape)
    wide.narrow(axis, 0, tensor.shape[axis]).copy_(tensor)
    return wide


def first_of_copies(tensor: "torch.Tensor", axis: int, copies: int) -> "torch.Tensor":
    """For inputs that come ``copies`` times: the first is read along ``axis``, the others count as 0."""
    return filled(tensor.unsqueeze(axis + 1), axis + 1, copies).flatten(axis, axis + 1)
