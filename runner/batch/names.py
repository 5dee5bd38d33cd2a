"""Names of the files a batch writes, by a template, and safe on every file system."""

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import InputError

_FIELD = re.compile(r"\{([^{}]*)\}")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"/\\|?*\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_MOST_BYTES = (
    120  # of one part; 255 is what most file systems take, and endings, "-12" and a temporary name come on top
)
_HASHED = 8
_ENDING = re.compile(r"\.(?=[^.]*[^\W\d][^.]*$)")


class Template:
    """A template like ``{row}-{name}``; ``/`` in it, not in the values, makes subfolders.

    ``fields`` are what may stand in braces. Raises ``InputError`` ``option_invalid``.
    """

    def __init__(self, text: str, fields: Collection[str]):
        self._parts = text.replace("\\", "/").split("/")
        unknown = [name for name in _FIELD.findall(text) if name.strip() not in fields]
        if unknown:
            close = difflib.get_close_matches(unknown[0], fields, n=3, cutoff=0.6)
            guess = f"Did you mean {' or '.join(f'{{{name}}}' for name in close)}? " if close else ""
            known = ", ".join(f"{{{name}}}" for name in fields)
            raise InputError(
                "option_invalid", f"--name has {{{unknown[0]}}}, which is no column.", f"{guess}There are {known}."
            )
        rest = _FIELD.sub("", text)
        if "{" in rest or "}" in rest:
            raise InputError("option_invalid", f"--name {text!r} has a brace without its pair.", "Write {row}-{name}.")
        if any(not part or set(part.strip()) <= {"."} for part in self._parts):
            message = f"--name {text!r} is no name of a file inside the output folder."
            raise InputError("option_invalid", message, "Write it like {row}-{name}, or {prompt}/{row}.")

    def fill(self, values: Mapping[str, Any]) -> str:
        """The name for these values, without an ending, parts separated by ``/``."""
        filled = [_FIELD.sub(lambda match: _plain(values.get(match[1].strip(), "")), part) for part in self._parts]
        *folders, last = [_safe(part) for part in filled]
        # No folder may have the name that a file is to have, and files have endings.
        return "/".join([*(_ENDING.sub("_", folder) for folder in folders), last])


def _plain(value: Any) -> str:
    return _UNSAFE.sub("_", str(value).strip())


def _safe(part: str) -> str:
    """``part`` as one file or folder name that Linux, macOS and Windows take, in at most ``_MOST_BYTES``."""
    part = _UNSAFE.sub("_", unicodedata.normalize("NFC", part))
    part = re.sub(r"\s+", " ", part).strip(" .") or "_"
    if _RESERVED.fullmatch(part):
        part = f"_{part}"
    data = part.encode()
    if len(data) <= _MOST_BYTES:
        return part
    digest = hashlib.sha256(data).hexdigest()[:_HASHED]
    kept = data[: _MOST_BYTES - _HASHED - 1].decode(errors="ignore").rstrip(" .")
    return f"{kept}-{digest}"


class Names:
    """Hands out names so that no two are alike, on file systems that ignore case, too."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}

    def keep(self, name: str) -> None:
        """Take ``name``, which is in use."""
        self._taken.add(_folded(name))

    def is_free(self, name: str) -> bool:
        return _folded(name) not in self._taken

    def take(self, stem: str, suffix: str = "") -> str:
        """``stem`` + ``suffix``, or ``stem-2`` and so on where that is taken."""
        key = _folded(f"{stem}{suffix}")
        number = self._next.get(key, 1)
        name = f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}"
        while not self.is_free(name):
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._next[key] = number
        self.keep(name)
        return name


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())
