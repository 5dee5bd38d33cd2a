"""Small pictures of what went in and what came out, made once, for the contact sheet and the report."""

import contextlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import ImageineError
from ..pictures import output_files
from ..pictures.photos import load_photo
from .files import THUMBNAILS
from .tasks import MASK

if TYPE_CHECKING:
    from .jobs import Job
    from .manifest import Entry

PIXELS = 256  # of the longer side
_SHOWN = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"})
_MOST_PROFILE = 4096  # bytes; a larger colour profile is no use in a thumbnail


def before(folder: Path, job: "Job", entry: "Entry") -> Path | None:
    """Where the thumbnail of the photo is; None for a job without one."""
    name = photo_of(job)
    return _path(folder, entry.inputs[name]["sha256"]) if name in entry.inputs else None


def after(folder: Path, entry: "Entry") -> Path | None:
    """Where the thumbnail of the result is; None where the job made no picture."""
    output = picture(entry)
    return _path(folder, output["sha256"]) if output else None


def picture(entry: "Entry") -> dict | None:
    """The first output that is a picture."""
    return next((output for output in entry.outputs if Path(output["path"]).suffix.lower() in _SHOWN), None)


def make(folder: Path, job: "Job", entry: "Entry") -> None:
    """Make those that are not there yet. One that cannot be made is missing: the result is what counts."""
    output, name = picture(entry), photo_of(job)
    if output:
        _shrink(folder / output["path"], _path(folder, output["sha256"]))
    if name in entry.inputs:
        _shrink(job.pictures[name], _path(folder, entry.inputs[name]["sha256"]))


def photo_of(job: "Job") -> str:
    """The image input whose picture is shown beside the result."""
    names = [name for name in job.pictures if name != MASK]
    return "image" if "image" in names else names[0] if names else ""


def _path(folder: Path, digest: str) -> Path:
    return folder / THUMBNAILS / f"{digest[:24]}.jpg"


def _shrink(source: Path, target: Path) -> None:
    if target.exists():
        return
    with contextlib.suppress(ImageineError):
        photo = load_photo(source)
        image = photo.rgb.copy()
        image.thumbnail((PIXELS, PIXELS))
        profile = photo.icc_profile if photo.icc_profile and len(photo.icc_profile) <= _MOST_PROFILE else None
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=75, icc_profile=profile)
        output_files.write(target, buffer.getvalue())
