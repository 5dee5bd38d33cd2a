"""ComfyUI's own nodes that the shipped workflows use, as far as they use them."""

from typing import TYPE_CHECKING, Any

from .graph import NodeKind

if TYPE_CHECKING:
    from .studio import Studio


def load_image(studio: "Studio", image: str) -> tuple:
    """The picture ``[1,H,W,3]`` and its inverted transparency ``[1,H,W]``; without any, a mask of zeros."""
    import numpy as np
    import torch

    picture = studio.upload(image)
    pixels = torch.from_numpy(np.asarray(picture.convert("RGB"), dtype=np.float32) / 255.0)[None]
    if picture.mode != "RGBA":
        return pixels, torch.zeros(1, 64, 64)
    alpha = torch.from_numpy(np.asarray(picture.getchannel("A"), dtype=np.float32) / 255.0)[None]
    return pixels, 1.0 - alpha


def primitive(studio: "Studio", value: Any) -> tuple:
    return (value,)


def load_checkpoint(studio: "Studio", ckpt_name: str) -> tuple:
    checkpoint = studio.checkpoint(ckpt_name)
    return (checkpoint, ()), checkpoint, checkpoint


def load_control_net(studio: "Studio", control_net_name: str) -> tuple:
    return (studio.control_net(control_net_name),)


def load_clip_vision(studio: "Studio", clip_name: str) -> tuple:
    return (studio.image_encoder(clip_name),)


def encode_text(studio: "Studio", text: str, clip: Any) -> tuple:
    """77 tokens: a longer prompt is cut there, and weights in brackets are read as words."""
    import torch

    from .sampling import Conditioning

    tokens = clip.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    with studio.memory.holding(clip.text_encoder), torch.no_grad():
        embeds = clip.text_encoder(tokens.input_ids.to(studio.device))[0]
    return (Conditioning(embeds.to(clip.unet.dtype)),)


def condition_inpainting(studio, positive, negative, vae, pixels, mask, noise_mask) -> tuple:
    from dataclasses import replace

    return replace(positive, pixels=pixels, mask=mask), negative, pixels


def sample(
    studio: "Studio", model, seed, steps, cfg, sampler_name, scheduler, positive, negative, latent_image, denoise
) -> tuple:
    from . import sampling

    checkpoint, influences = model
    settings = sampling.Settings(seed, steps, cfg, sampler_name, scheduler, denoise)
    return (sampling.sample(checkpoint, positive, negative, influences, settings, studio.memory, studio.progress),)


def decode(studio: "Studio", samples, vae) -> tuple:
    from . import sampling

    return (sampling.decode(vae, samples, studio.memory),)


def save_image(studio: "Studio", images, filename_prefix: str = "ComfyUI") -> tuple:
    studio.save(images, filename_prefix)
    return ()


def preview_image(studio: "Studio", images) -> tuple:
    return ()


def switch(studio: "Studio", switch: bool, on_false: Any = None, on_true: Any = None) -> tuple:
    return (on_true if switch else on_false,)


def scale_to_megapixels(studio, image, upscale_method: str, megapixels: float, resolution_steps: int = 1) -> tuple:
    """The picture at ``megapixels`` times 2^20 pixels, its sides rounded to ``resolution_steps``."""
    import torch

    height, width = image.shape[1:3]
    factor = (megapixels * 1024 * 1024 / (width * height)) ** 0.5
    size = [round(side * factor / resolution_steps) * resolution_steps for side in (height, width)]
    scaled = torch.nn.functional.interpolate(image.movedim(-1, 1), size=size, mode=_INTERPOLATIONS[upscale_method])
    return (scaled.movedim(1, -1),)


def image_size(studio: "Studio", image) -> tuple:
    return image.shape[2], image.shape[1], image.shape[0]


def solid_mask(studio: "Studio", value: float, width: int, height: int) -> tuple:
    import torch

    return (torch.full((1, height, width), float(value)),)


def threshold_mask(studio: "Studio", mask, value: float) -> tuple:
    return ((mask > value).float(),)


def mask_to_image(studio: "Studio", mask) -> tuple:
    return (mask[..., None].expand(*mask.shape, 3),)


_INTERPOLATIONS = {"area": "area", "bilinear": "bilinear", "bicubic": "bicubic", "nearest-exact": "nearest-exact"}

CORE_NODES = {
    "CheckpointLoaderSimple": NodeKind(load_checkpoint),
    "CLIPTextEncode": NodeKind(encode_text),
    "CLIPVisionLoader": NodeKind(load_clip_vision),
    "ComfySwitchNode": NodeKind(
        switch,
        lazy=frozenset({"on_false", "on_true"}),
        wanted=lambda known: ["on_true" if known["switch"] else "on_false"],
    ),
    "ControlNetLoader": NodeKind(load_control_net),
    "GetImageSize": NodeKind(image_size),
    "ImageScaleToTotalPixels": NodeKind(scale_to_megapixels),
    "InpaintModelConditioning": NodeKind(condition_inpainting),
    "KSampler": NodeKind(sample),
    "LoadImage": NodeKind(load_image),
    "MaskToImage": NodeKind(mask_to_image),
    "PreviewImage": NodeKind(preview_image, is_output=True),
    "PrimitiveBoolean": NodeKind(primitive),
    "PrimitiveInt": NodeKind(primitive),
    "PrimitiveStringMultiline": NodeKind(primitive),
    "SaveImage": NodeKind(save_image, is_output=True),
    "SolidMask": NodeKind(solid_mask),
    "ThresholdMask": NodeKind(threshold_mask),
    "VAEDecode": NodeKind(decode),
}
