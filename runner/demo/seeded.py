"""Seeded random weights in the real file formats, so that everything runs where nothing can be downloaded.

The architectures, tensor names, file and folder layouts are those of the real models; the values are random, or set
by hand where a picture has to stay recognisable. They prove the path, never the quality.

Needs torch, safetensors and transformers, all imported inside the functions.
"""

import shutil
import tempfile
from pathlib import Path

from ..caching import cache_folder
from . import grounding_dino as _grounding_dino
from . import segment_anything as _segment_anything
from . import stable_diffusion as _stable_diffusion

# Part of the cache folder's name: raise it with every change of the weights.
VERSION = 3

CHECKPOINT = Path("checkpoints/sd-v1-5-inpainting.safetensors")
GROUNDING_DINO = Path("grounding-dino/grounding-dino-tiny")
SEGMENT_ANYTHING = Path("sams/sam2.1-hiera-tiny")

checkpoint = _stable_diffusion.save
grounding_dino = _grounding_dino.save
segment_anything = _segment_anything.save


def target(root: Path) -> Path:
    """Where ``models_folder(root)`` is or will be."""
    return root / f"seeded-v{VERSION}"


def models_folder(root: Path | None = None) -> Path:
    """A complete ComfyUI ``models`` folder for Simple Edit, under the names that the shipped workflow uses.

    Made on the first call (about 5 s, 325 MB), found again afterwards. ``root`` is the folder that holds it;
    default ``cache_folder()``. It appears under its name only when complete, so two processes may race: the loser
    throws its own copy away. Raises ``OSError`` when ``root`` cannot be written.
    """
    root = Path(root) if root is not None else cache_folder()
    folder = target(root)
    if folder.is_dir():
        return folder
    root.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", suffix=".part", dir=root))
    try:
        checkpoint(draft / CHECKPOINT)
        grounding_dino(draft / GROUNDING_DINO)
        segment_anything(draft / SEGMENT_ANYTHING)
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError:
        # On some systems a folder cannot replace one that another process has just put there.
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder
