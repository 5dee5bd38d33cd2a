"""The router: how to do a wish. Rules first, then a text encoder and what was found in the photo, where given."""

from .decision import (
    CATEGORIES,
    COMPLEX,
    DEPTH,
    POSE,
    SIMPLE,
    WHOLE_IMAGE_DENOISE,
    Decision,
    Edit,
    TextEncoder,
    no_edit,
)
from .router import route
from .text import has_word

__all__ = [
    "CATEGORIES",
    "COMPLEX",
    "DEPTH",
    "POSE",
    "SIMPLE",
    "WHOLE_IMAGE_DENOISE",
    "Decision",
    "Edit",
    "TextEncoder",
    "has_word",
    "no_edit",
    "route",
]
