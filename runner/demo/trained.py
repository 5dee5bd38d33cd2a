"""The demo's own models: small, trained on coloured shapes before photographs, in the real file formats.

They know ten colours, four shapes and two patterns, and nothing else; ``demo/README.md`` in the repository is their
model card. What is stored is small (``weights/``): the full-layout files are built from it.

Needs torch, safetensors and transformers, all imported inside the functions.
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

from ..caching import cache_folder
from . import model_folders
from . import trained_control as _control
from . import trained_depth as _depth
from . import trained_finder as _finder
from . import trained_painter as _painter
from . import trained_reference as _reference
from . import trained_segmenter as _segmenter
from .model_folders import (
    CHECKPOINT,
    CLIP_VISION,
    DEPTH_ANYTHING,
    DEPTH_CONTROL_NET,
    GROUNDING_DINO,
    IP_ADAPTER,
    SEGMENT_ANYTHING,
)

# Part of the cache folder's name: raise it when the code makes other files of the same weights.
VERSION = 2

WEIGHTS = Path(__file__).with_name("weights")


# What there is beside the models of Simple Edit.
EXTRAS = {
    "reference": {CLIP_VISION: _reference.save_encoder, IP_ADAPTER: _reference.save_adapter},
    "depth": {DEPTH_ANYTHING: _depth.save, DEPTH_CONTROL_NET: _control.save},
}


def target(root: Path, extras: Collection[str] = ()) -> Path:
    """Where ``models_folder`` with the same arguments is or will be; new weights have a new name."""
    digest = hashlib.sha256()
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return root / "-".join(("demo", f"v{VERSION}", digest.hexdigest()[:8], *sorted(extras)))


def models_folder(root: Path | None = None, extras: Collection[str] = ()) -> Path:
    """A complete ComfyUI ``models`` folder for Simple Edit, under the names that the shipped workflow uses; with
    ``extras``, of ``EXTRAS``, for edits by a reference picture and for Complex Edit's depth (not its pose) too.

    Made on the first call (about 5 s, 325 MB; "reference" adds 3 s and 340 MB, "depth" 38 MB), found again afterwards,
    bit-identical each time. ``root`` is the folder that holds it; default ``cache_folder()``. Raises ``OSError`` when
    ``root`` cannot be written.
    """
    root = Path(root) if root is not None else cache_folder()
    savers = {
        CHECKPOINT: _painter.save,
        GROUNDING_DINO: _finder.save,
        SEGMENT_ANYTHING: _segmenter.save,
    }
    for extra in extras:
        savers |= EXTRAS[extra]
    return model_folders.make(target(root, extras), savers)
