"""How an edit was made, written into the picture and read back.

| Key        | Holds                                                                                |
|------------|--------------------------------------------------------------------------------------|
| `imageine` | prompt, negative prompt, seed, pipeline, models, ...: JSON, the runner's own          |
| `prompt`   | the API-format graph: ComfyUI's own key, so dropping the file on its editor opens it  |
| `workflow` | the UI-format workflow with the same values, where there is one: ComfyUI's own key    |

A PNG holds them as text chunks. WebP and JPEG hold them as EXIF text tags reading ``<key>:<JSON>``, which is how
ComfyUI's editor reads a WebP (it reads no JPEG); the tags are private ones, so that the camera's own stay. A JPEG's
EXIF ends at 64 KB: what does not fit is left out, ``workflow`` first.
"""

import json
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ..errors import InputError

KEYS = ("imageine", "prompt", "workflow")
_TAGS = dict(zip(KEYS, (65000, 65001, 65002), strict=True))  # TIFF's "reusable private" range
_JPEG_EXIF_LIMIT = 65533 - len(b"Exif\0\0")


def png_text(metadata: dict[str, Any]) -> PngInfo:
    """The text chunks for ``metadata``, whose keys are among ``KEYS``; ``None`` values are left out."""
    info = PngInfo()
    for key, text in _texts(metadata).items():
        info.add_text(key, text)
    return info


def exif_bytes(metadata: dict[str, Any], camera: Image.Exif, *, limited: bool) -> tuple[bytes, list[str]]:
    """(EXIF block with the camera's tags and ``metadata``, keys left out).

    ``limited`` keeps it within a JPEG's 64 KB.
    """
    texts = _texts(metadata)
    dropped = []
    while True:
        block = _exif_block(texts, camera)
        if not limited or len(block) <= _JPEG_EXIF_LIMIT:
            return block, dropped
        if not texts:
            return _exif_block({}, Image.Exif()), [*dropped, "the camera's EXIF"]
        key = list(texts)[-1]
        dropped.append(key)
        del texts[key]


def read(path: str | Path) -> dict[str, Any]:
    """The metadata of a picture that Imageine or ComfyUI made; missing keys are absent.

    Raises ``InputError`` ``image_missing`` or ``image_unreadable``.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("image_missing", f"The picture '{path}' does not exist.", "Check the path.")
    try:
        with Image.open(path) as image:
            if image.format == "PNG":
                image.load()  # text may follow the pixels
            texts = {key: image.info[key] for key in KEYS if isinstance(image.info.get(key), str)}
            for value in image.getexif().values():
                key, _, text = value.partition(":") if isinstance(value, str) else ("", "", "")
                if key in KEYS:
                    texts.setdefault(key, text)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError("image_unreadable", f"'{path}' is not an image, or is damaged: {error}.") from error
    found = {}
    for key, text in texts.items():
        try:
            found[key] = json.loads(text)
        except json.JSONDecodeError:
            continue  # some other program's text under the same key
    return {key: found[key] for key in KEYS if key in found}


def _texts(metadata: dict[str, Any]) -> dict[str, str]:
    return {key: json.dumps(metadata[key]) for key in KEYS if metadata.get(key) is not None}


def _exif_block(texts: dict[str, str], camera: Image.Exif) -> bytes:
    exif = Image.Exif()
    if len(camera):
        exif.load(camera.tobytes())
    for key, text in texts.items():
        exif[_TAGS[key]] = f"{key}:{text}"
    return exif.tobytes() if len(exif) else b""
