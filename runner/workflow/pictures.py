"""The pictures that go into a workflow's image inputs, and the painted mask for one of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import WorkflowError
from ..pictures.photos import Photo, load_mask, load_photo
from .naming import MASK

if TYPE_CHECKING:
    from PIL import Image

    from . import Workflow

    Picture = str | Path | bytes | Image.Image | Photo


@dataclass
class Pictures:
    """The photos for a workflow's image inputs, by input name, and the painted mask for one of them."""

    photos: dict[str, Photo] = field(default_factory=dict)
    masked: str = ""
    mask: "Image.Image | None" = None
    notes: list[str] = field(default_factory=list)


def load_pictures(
    workflow: "Workflow", images: "Mapping[str, Picture]", mask: "str | Path | bytes | Image.Image | None"
) -> Pictures:
    """Decode the pictures for ``workflow``, each checked to have an input it goes to.

    Raises ``InputError`` for a bad picture and ``WorkflowError`` for a name that is no image input.
    """
    pictures = Pictures()
    for name, source in images.items():
        entry = workflow.find(name)
        if entry.kind != "image":
            message = f"'{entry.name}' of the workflow '{workflow.name}' takes no picture."
            raise WorkflowError("workflow_input_value", message, "Give it a value with --set.")
        photo = source if isinstance(source, Photo) else load_photo(source)
        pictures.photos[entry.name] = photo
        pictures.notes += photo.notes
    if mask is not None:
        pictures.masked = _masked_image(workflow, pictures)
        pictures.mask, notes = load_mask(mask, pictures.photos[pictures.masked].size)
        pictures.notes += notes
    return pictures


def _masked_image(workflow: "Workflow", pictures: Pictures) -> str:
    """Name of the image input whose node's mask output is used."""
    masks = [entry for entry in workflow.inputs.values() if entry.kind == MASK]
    images = [workflow.image_of(entry) for entry in masks]
    given = [name for name in images if name in pictures.photos]
    if len(given) == 1:
        return given[0]
    if not masks:
        raise WorkflowError("workflow_input_unknown", f"The workflow '{workflow.name}' takes no painted mask.")
    if not given:
        message = f"A mask goes with a photo, and '{images[0]}' was given none."
        raise WorkflowError("workflow_input_value", message, f"Give it with --image {images[0]}=PATH.")
    message = f"The mask may belong to {' or '.join(given)}."
    raise WorkflowError("workflow_input_value", message, "Paint it into the photo's transparency instead.")
