"""Where results go: checked before a job is sent, written whole or not at all."""

import io
import os
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from ..errors import InputError
from . import metadata as picture_metadata

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def check_output(path: str | Path, source: Path | None = None) -> Path:
    """``path``, if a picture can be written there; nothing is created. ``source`` is the photo to keep.

    Raises ``InputError`` ``output_unwritable``, or ``option_invalid`` when ``path`` is ``source``.
    """
    path = Path(path)
    if source is not None and path.exists() and source.exists() and path.samefile(source):
        raise InputError("option_invalid", f"The output '{path}' is the photo itself.", "Name another file.")
    if path.suffix.lower() not in FORMATS:
        ending = f"'{path.suffix}' is not a format that can be written" if path.suffix else "it has no extension"
        raise _unwritable(path, f"{ending}.", f"Use {', '.join(FORMATS)}.")
    if path.is_dir():
        raise _unwritable(path, "it is a folder.", "Name a file in it.")
    _check_folder(path, path.parent)
    if path.exists() and not os.access(path, os.W_OK):
        raise _unwritable(path, "the file is read-only.", "Name another file.")
    return path


def check_output_folder(path: str | Path) -> Path:
    """``path``, if files can be written there; where it does not exist, if it can be created. Creates nothing.

    Raises ``InputError`` ``output_unwritable``.
    """
    path = Path(path)
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not existing.is_dir():
        raise _unwritable(path, f"'{existing}' is a file, not a folder.", "Name a folder.")
    _check_folder(path, existing)
    return path


def write(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, creating its folder, under another name first: no half file is ever seen there.

    Raises ``InputError`` ``output_unwritable``.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, f"{error.strerror or error}.", "Free some space, or name another place.") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def encode(
    image: Image.Image,
    suffix: str,
    metadata: dict[str, Any],
    *,
    icc_profile: bytes | None = None,
    exif: Image.Exif | None = None,
) -> tuple[bytes, list[str]]:
    """(``image`` as a file, notes): PNG, JPEG (quality 95, full colour resolution) or lossless WebP by ``suffix``.

    ``metadata`` is that of ``metadata.py``. A JPEG holds no transparency: it is flattened on white.
    """
    kind = FORMATS[suffix.lower()]
    camera = exif or Image.Exif()
    options: dict[str, Any] = {"icc_profile": icc_profile} if icc_profile else {}
    notes = []
    if kind == "PNG":
        options |= {"pnginfo": picture_metadata.png_text(metadata), "compress_level": 4}
        if len(camera):
            options["exif"] = camera.tobytes()
    else:
        block, dropped = picture_metadata.exif_bytes(metadata, camera, limited=kind == "JPEG")
        if dropped:
            notes.append(f"A JPEG has no room for {' and '.join(dropped)} in its metadata; a PNG or WebP has.")
        options |= {"exif": block} if block else {}
        options |= {"lossless": True} if kind == "WEBP" else {"quality": 95, "subsampling": "4:4:4"}
    if kind == "JPEG" and image.mode == "RGBA":
        notes.append("A JPEG holds no transparency: it was flattened on white.")
        flat = Image.new("RGB", image.size, "white")
        flat.paste(image, mask=image.getchannel("A"))
        image = flat
    buffer = io.BytesIO()
    try:
        image.save(buffer, kind, **options)
    except (OSError, ValueError) as error:
        message = f"The {image.width}x{image.height} result cannot be written as {kind}: {error}."
        raise InputError("output_unwritable", message, "Use .png, which has no such limit.") from error
    return buffer.getvalue(), notes


def free_name(folder: Path, stem: str, suffix: str) -> Path:
    """A path in ``folder`` where nothing is yet: ``stem.suffix``, ``stem-2.suffix``, ..."""
    path, number = folder / f"{stem}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path


def _check_folder(path: Path, folder: Path) -> None:
    if not folder.is_dir():
        raise _unwritable(path, f"the folder '{folder}' does not exist.", "Create it, or name another.")
    try:
        # Asking for permission is not enough: read-only mounts and Windows say yes and then refuse.
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".imageine-"):
            pass
    except OSError as error:
        hint = "Name a folder you may write to."
        raise _unwritable(path, f"no file can be made in '{folder}': {error.strerror}.", hint) from error


def _unwritable(path: Path, why: str, hint: str) -> InputError:
    return InputError("output_unwritable", f"Cannot write '{path}': {why}", hint, {"path": str(path)})


def _umask() -> int:
    """The process's umask; there is no way to read it but to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
