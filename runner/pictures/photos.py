"""Photos in and out: any file Pillow reads becomes an 8-bit RGB PNG for the server, and the result a finished file.

Uploads are always PNG. ComfyUI's Load Image decodes through PyAV, whose pixels of a JPEG differ from Pillow's (by up
to 34 of 255 on a real photo, 70 on noise), while those of an 8-bit PNG are the same bit for bit. Only a lossless
upload lets "outside the mask nothing changes" hold for the file a user gets back.
"""

import contextlib
import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageChops, ImageOps

from ..errors import InputError
from . import colours

MAX_PIXELS = 200_000_000

# What Pillow's decoders raise for broken files.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, RuntimeError, MemoryError)
_ORIENTATION, _EXIF_IFD = 0x0112, 0x8769
_STALE_SIZES = (0xA002, 0xA003)
_open_lock = threading.Lock()


@dataclass
class Photo:
    """A decoded photo, upright.

    ``rgb`` is what the server sees: 8-bit RGB, transparency flattened on white. ``original`` and ``alpha`` (both
    ``None`` for an opaque photo) are the RGB under the transparency and its 8-bit alpha.
    """

    rgb: Image.Image
    original: Image.Image | None = None
    alpha: Image.Image | None = None
    icc_profile: bytes | None = None
    exif: Image.Exif = field(default_factory=Image.Exif)
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.rgb.size

    def upload(self, mask: Image.Image | None = None, *, keep_alpha: bool = False) -> bytes:
        """The PNG to upload.

        ``mask`` (8-bit grey, the photo's size, white = change here) goes into the alpha channel inverted, as the
        mask painter of ComfyUI's editor does. ``keep_alpha`` sends the photo's own transparency instead, for nodes
        that read it.
        """
        image = self.rgb
        if mask is not None:
            image = self.rgb.copy()
            image.putalpha(ImageChops.invert(mask))
        elif keep_alpha and self.alpha is not None:
            image = self.original.copy()
            image.putalpha(self.alpha)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()

    def restore(self, result: Image.Image) -> Image.Image:
        """``result``, an edit of ``rgb``, with the photo's transparency where nothing changed; RGB if it had none.

        Changed pixels are opaque, for they were painted on the white that stood in for the transparency.
        """
        result = result.convert("RGB")
        if self.alpha is None or result.size != self.size:
            return result
        bands = ImageChops.difference(result, self.rgb).split()
        changed = ImageChops.lighter(ImageChops.lighter(*bands[:2]), bands[2]).point(lambda value: 255 if value else 0)
        restored = Image.composite(result, self.original, changed)
        restored.putalpha(ImageChops.lighter(self.alpha, changed))
        return restored


def load_photo(source: str | Path | bytes | Image.Image, what: str = "photo") -> Photo:
    """Decode a photo completely.

    ``source`` is a path, the bytes of a file, or a Pillow image; messages call it ``what``. EXIF orientation is
    applied; 16-bit, floating point, grey, palette and CMYK become 8-bit RGB (CMYK and grey through their ICC
    profile); of an animation the first frame is taken. ``notes`` tells what was changed.

    Raises ``InputError`` ``image_missing`` or ``image_unreadable``.
    """
    image, name = _decode(source, what)
    notes: list[str] = []
    if getattr(image, "is_animated", False) and image.format != "MPO":  # a phone's MPO: the photo and its previews
        notes.append(f"{name} has {image.n_frames} frames; the first is used.")
    image = _upright(image)
    exif = _exif_of(image, notes)
    profile = image.info.get("icc_profile")
    rgb, alpha, profile = colours.to_rgb(image, profile, notes)
    if alpha is None:
        return Photo(rgb, icc_profile=profile, exif=exif, notes=notes)
    flat = Image.new("RGB", rgb.size, "white")
    flat.paste(rgb, mask=alpha)
    return Photo(flat, rgb, alpha, profile, exif, notes)


def load_mask(source: str | Path | bytes | Image.Image, size: tuple[int, int]) -> tuple[Image.Image, list[str]]:
    """(8-bit grey mask of ``size``, notes): white is what to change; transparent counts as black.

    A mask of another size is resized. Raises ``InputError`` ``image_missing`` or ``image_unreadable``.
    """
    image, name = _decode(source, "mask")
    notes: list[str] = []
    rgb, alpha, _ = colours.to_rgb(_upright(image), None, [])
    mask = rgb.convert("L")
    if alpha is not None:
        mask = ImageChops.multiply(mask, alpha)
    if mask.size != size:
        width, height = mask.size
        notes.append(f"{name} is {width}x{height} and was resized to the photo's {size[0]}x{size[1]}.")
        mask = mask.resize(size, Image.Resampling.BILINEAR)
    if mask.getextrema()[1] < 128:
        notes.append(f"{name} marks nothing (no pixel is brighter than half), so the object is found by its name.")
    return mask, notes


def _decode(source: str | Path | bytes | Image.Image, what: str) -> tuple[Image.Image, str]:
    """(the picture, fully decoded; what to call it in messages)."""
    if isinstance(source, Image.Image):
        name, opened = f"The {what}", source
    elif isinstance(source, bytes):
        name, opened = f"The {what}", io.BytesIO(source)
    else:
        path = Path(source)
        name, opened = f"The {what} '{path}'", path
        if not path.is_file():
            why = "is a folder, not a file" if path.is_dir() else "does not exist"
            raise InputError("image_missing", f"{name} {why}.", "Check the path.", {"path": str(path)})
    try:
        image = opened if isinstance(source, Image.Image) else _open(opened)
        if image.width * image.height <= MAX_PIXELS:
            image.load()
    except Image.UnidentifiedImageError as error:
        hint = "Use a JPEG, PNG, WebP, TIFF or another format that Pillow reads."
        raise InputError("image_unreadable", f"{name} is not an image Pillow can read.", hint) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name, str(error)) from error
    except _BROKEN as error:
        message = f"{name} is damaged or incomplete: {error}."
        raise InputError("image_unreadable", message, "Copy or export the file again.") from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name, f"{image.width}x{image.height} pixels")
    if 0 in image.size:
        raise InputError("image_unreadable", f"{name} has no pixels ({image.width}x{image.height}).")
    return image, name


def _too_large(name: str, seen: str) -> InputError:
    message = f"{name} is larger than {MAX_PIXELS // 1_000_000} megapixels: {seen}."
    return InputError("image_unreadable", message, "Scale it down first.")


def _open(file: Path | io.BytesIO) -> Image.Image:
    """Read the header. Pillow's own limit on the size is one global for the process: it is lifted meanwhile."""
    with _open_lock, _without_exif_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, MAX_PIXELS
        try:
            return Image.open(file)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def _without_exif_warnings() -> Iterator[None]:
    """Damaged EXIF makes Pillow warn on stderr and go on; so do we, without the warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)
        yield


def _upright(image: Image.Image) -> Image.Image:
    try:
        with _without_exif_warnings():
            return ImageOps.exif_transpose(image)
    except _BROKEN:  # EXIF that cannot be parsed tells no orientation
        return image.copy()


def _exif_of(image: Image.Image, notes: list[str]) -> Image.Exif:
    """The camera's data without what the edit makes untrue: orientation, pixel sizes, the embedded thumbnail."""
    kept = Image.Exif()
    try:
        with _without_exif_warnings():
            exif = image.getexif()
            details = exif.get_ifd(_EXIF_IFD)
            exif.pop(_ORIENTATION, None)
            for tag in _STALE_SIZES:
                details.pop(tag, None)
            kept.load(exif.tobytes())
    except _BROKEN as error:
        notes.append(f"The photo's EXIF data is damaged and was left out: {error}.")
        return Image.Exif()
    return kept
