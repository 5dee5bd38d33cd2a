"""Folders of models in the cache: made once, whole or not at all."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# Where a ComfyUI `models` folder has the files of Simple Edit, under the names that the shipped workflow uses.
CHECKPOINT = Path("checkpoints/sd-v1-5-inpainting.safetensors")
GROUNDING_DINO = Path("grounding-dino/grounding-dino-tiny")
SEGMENT_ANYTHING = Path("sams/sam2.1-hiera-tiny")
# And those that Simple Edit with Reference uses besides.
CLIP_VISION = Path("clip_vision/CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors")
IP_ADAPTER = Path("ipadapter/ip-adapter-plus_sd15.safetensors")

# And those of Complex Edit's depth.
DEPTH_ANYTHING = Path("depth-anything/Depth-Anything-V2-Small-hf")
DEPTH_CONTROL_NET = Path("controlnet/control_v11f1p_sd15_depth.safetensors")


def make(folder: Path, savers: Mapping[Path, Callable[[Path], Any]]) -> Path:
    """``folder``, made on the first call by calling each saver with its path there, found again afterwards.

    It appears under its name only when complete, so two processes may race: the loser throws its own copy away.
    Raises ``OSError`` when the folder around it cannot be written.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", suffix=".part", dir=folder.parent))
    try:
        for path, save in savers.items():
            save(draft / path)
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError:
        # On some systems a folder cannot replace one that another process has just put there.
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder
