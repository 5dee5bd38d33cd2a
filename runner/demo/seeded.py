"""Seeded random weights in the real file formats, so that everything runs where nothing can be downloaded.

The architectures, tensor names, file and folder layouts are those of the real models; the values are random, or set
by hand where a picture has to stay recognisable. They prove the path, never the quality.

Needs torch, safetensors and transformers, all imported inside the functions.
"""

from pathlib import Path

from ..caching import cache_folder
from . import grounding_dino as _grounding_dino
from . import model_folders
from . import segment_anything as _segment_anything
from . import stable_diffusion as _stable_diffusion
from .model_folders import CHECKPOINT, GROUNDING_DINO, SEGMENT_ANYTHING

# Part of the cache folder's name: raise it with every change of the weights.
VERSION = 3

checkpoint = _stable_diffusion.save
grounding_dino = _grounding_dino.save
segment_anything = _segment_anything.save


def target(root: Path) -> Path:
    """Where ``models_folder(root)`` is or will be."""
    return root / f"seeded-v{VERSION}"


def models_folder(root: Path | None = None) -> Path:
    """A complete ComfyUI ``models`` folder for Simple Edit, under the names that the shipped workflow uses.

    Made on the first call (about 5 s, 325 MB), found again afterwards. ``root`` is the folder that holds it;
    default ``cache_folder()``. Raises ``OSError`` when ``root`` cannot be written.
    """
    root = Path(root) if root is not None else cache_folder()
    savers = {CHECKPOINT: checkpoint, GROUNDING_DINO: grounding_dino, SEGMENT_ANYTHING: segment_anything}
    return model_folders.make(target(root), savers)
