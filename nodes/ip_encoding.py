"""Reference images through ComfyUI's CLIP vision models."""

import comfy.model_management
import comfy.utils
import torch

from .algorithms import ip_references
from .algorithms.ip_adapter import Layout
from .algorithms.pixels import to_rgb

_AT_ONCE = 8  # images


def encode(
    layout: Layout,
    clip_vision,
    images: torch.Tensor,
    negative: torch.Tensor | None = None,
    weight: float = 1.0,
    crop: bool = True,
) -> ip_references.References:
    """``images`` ``[B,H,W,C]`` as ``clip_vision`` (core's CLIP_VISION) shows them to an adapter of ``layout``.

    ``negative`` are images to steer away from; without them that is zero embeds (standard) or the encoder's view of
    zero pixel values (plus, full), as the adapters were trained. ``crop`` cuts the middle square out, else images are
    squeezed. Raises ``ValueError`` when the encoder is not the one that the adapter was trained with.
    """
    if clip_vision is None:
        raise ValueError("A reference image needs CLIP Vision: connect a Load CLIP Vision node to clip_vision.")
    seen = _see(layout, clip_vision, images, crop)
    if negative is not None:
        avoided = _see(layout, clip_vision, negative, crop)
    elif layout.pooled:
        avoided = torch.zeros_like(seen[:1])
    else:
        avoided = _see_nothing(clip_vision)
    return ip_references.collect(seen, avoided, weight)


def _see(layout: Layout, clip_vision, images: torch.Tensor, crop: bool) -> torch.Tensor:
    progress = comfy.utils.ProgressBar(len(images))
    seen = []
    for part in to_rgb(images).split(_AT_ONCE):
        comfy.model_management.throw_exception_if_processing_interrupted()
        output = clip_vision.encode_image(part, crop=crop)
        seen.append(output["image_embeds" if layout.pooled else "penultimate_hidden_states"])
        ip_references.check_encoder(layout, seen[-1].shape[-1])
        progress.update(len(part))
    return torch.cat(seen)


def _see_nothing(clip_vision) -> torch.Tensor:
    """The penultimate layer for pixel values of zero, which no picture has after normalisation."""
    comfy.model_management.load_model_gpu(clip_vision.patcher)
    size = clip_vision.image_size
    pixels = torch.zeros(1, 3, size, size, device=clip_vision.load_device)
    return clip_vision.model(pixel_values=pixels, intermediate_output=-2)[1]
