"""Pictures of any channel count as RGB."""

import torch


def to_rgb(images: torch.Tensor) -> torch.Tensor:
    """``[B,H,W,C]`` float in 0..1 as ``[B,H,W,3]`` float32; transparency is flattened on white.

    ``C`` may be 1 (grey), 2 (grey and alpha), 3 or 4 (RGBA). Raises ``ValueError`` for any other shape.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 2, 3, 4) or 0 in images.shape[:3]:
        raise ValueError(f"An image batch has the shape [B,H,W,C] with 1 to 4 channels; got {list(images.shape)}.")
    images = images.float()
    channels = images.shape[-1]
    colour = images[..., :1] if channels < 3 else images[..., :3]
    if channels in (2, 4):
        alpha = images[..., -1:].clamp(0, 1)
        colour = colour * alpha + (1 - alpha)
    return colour.expand(*images.shape[:3], 3)
