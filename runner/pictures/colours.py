"""Pixels of every Pillow mode as 8-bit RGB, and what becomes of their colour profile."""

import io

from PIL import Image, ImageCms

_WIDE_GREY = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_WITH_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


def to_rgb(
    image: Image.Image, profile: bytes | None, notes: list[str]
) -> tuple[Image.Image, Image.Image | None, bytes | None]:
    """(8-bit RGB, 8-bit alpha or None when opaque, RGB colour profile or None) of ``image``.

    An RGB profile is handed on and the pixel values stay as they are; a CMYK, Lab or grey one is applied, giving
    sRGB. ``notes`` receives what a user would want to know.
    """
    if image.mode in _WIDE_GREY:
        notes.append("The picture has more than 8 bits per pixel; it is edited with 8.")
        image = _eight_bits(image)
    space = _colour_space(profile)
    alpha = None
    if image.mode in _WITH_ALPHA or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        if alpha.getextrema()[0] == 255:
            alpha = None
    if image.mode in ("CMYK", "LAB", "L", "1") and space in ("CMYK", "LAB", "GRAY") or image.mode == "LAB":
        rgb = _through_profile(image, profile, notes)
        return rgb, alpha, None
    if image.mode == "CMYK":
        notes.append("The CMYK picture has no colour profile; its colours are approximate.")
    return image.convert("RGB"), alpha, profile if space == "RGB" else None


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits, 32 bits or floating point as mode ``L``, its range taken from the values."""
    values = image.convert("F")
    low, high = values.getextrema()
    if image.mode.startswith("I;16"):
        low, high = 0, 65535
    elif low >= 0 and image.mode == "F" and high <= 1:
        low, high = 0, 1
    elif low >= 0 and high <= 65535:
        low, high = 0, 255 if high <= 255 else 65535
    scale = 255 / (high - low) if high > low else 0
    # An I or F image takes only functions of the form x * scale + offset; convert() cuts the fraction off.
    offset = 0.5 - low * scale
    return values.point(lambda value: value * scale + offset).convert("L")


def _colour_space(profile: bytes | None) -> str:
    """``RGB``, ``CMYK``, ``GRAY``, ``LAB``, ...; empty for no profile or one that cannot be read."""
    if not profile:
        return ""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip().upper()
    except (OSError, ImageCms.PyCMSError, ImportError):
        return ""


def _through_profile(image: Image.Image, profile: bytes | None, notes: list[str]) -> Image.Image:
    if image.mode == "1":
        image = image.convert("L")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else ImageCms.createProfile("LAB")
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (OSError, ValueError, ImageCms.PyCMSError, ImportError) as error:
        if image.mode == "LAB":
            image = image.getchannel("L")
        notes.append(f"The picture's colour profile could not be applied, so its colours are approximate: {error}.")
        return image.convert("RGB")
