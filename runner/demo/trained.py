"""The demo's own models: small, trained on coloured shapes before photographs, in the real file formats.

They know ten colours, four shapes and two patterns, and nothing else; ``demo/README.md`` in the repository is their
model card. What is stored is small (``weights/``): the full-layout files are built from it.

Needs torch, safetensors and transformers, all imported inside the functions.
"""

import hashlib
from pathlib import Path

from ..caching import cache_folder
from . import model_folders
from . import trained_finder as _finder
from . import trained_painter as _painter
from . import trained_reference as _reference
from . import trained_segmenter as _segmenter
from .model_folders import CHECKPOINT, CLIP_VISION, GROUNDING_DINO, IP_ADAPTER, SEGMENT_ANYTHING

# Part of the cache folder's name: raise it when the code makes other files of the same weights.
VERSION = 2

WEIGHTS = Path(__file__).with_name("weights")


def target(root: Path, *, reference: bool = False) -> Path:
    """Where ``models_folder`` with the same arguments is or will be; new weights have a new name."""
    digest = hashlib.sha256()
    for path in sorted(WEIGHTS.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return root / f"demo-v{VERSION}-{digest.hexdigest()[:8]}{'-reference' if reference else ''}"


def models_folder(root: Path | None = None, *, reference: bool = False) -> Path:
    """A complete ComfyUI ``models`` folder for Simple Edit, under the names that the shipped workflow uses; with
    ``reference`` for Simple Edit with Reference too.

    Made on the first call (about 5 s, 325 MB; with ``reference`` 8 s, 665 MB), found again afterwards, bit-identical
    each time. ``root`` is the folder that holds it; default ``cache_folder()``. Raises ``OSError`` when ``root`` cannot
    be written.
    """
    root = Path(root) if root is not None else cache_folder()
    savers = {
        CHECKPOINT: _painter.save,
        GROUNDING_DINO: _finder.save,
        SEGMENT_ANYTHING: _segmenter.save,
    }
    if reference:
        savers |= {CLIP_VISION: _reference.save_encoder, IP_ADAPTER: _reference.save_adapter}
    return model_folders.make(target(root, reference=reference), savers)
