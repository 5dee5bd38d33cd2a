"""Many wishes in one file: JSON Lines with ``prompt`` and ``reference``."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import InputError

_EXAMPLE = 'Write one JSON object a line, such as {"prompt": "make the car blue", "reference": null}.'


def read_batch(source: str) -> Iterator[tuple[str, bool]]:
    """``(prompt, whether a reference is given)`` of each line of file ``source``, "-" being standard input.

    ``reference`` may be true, false, null, a path, or missing; empty lines are skipped. Raises ``InputError``
    ``batch_unreadable`` or ``batch_line``, with the line's number.
    """
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "batch_unreadable", f"The file of wishes '{source}' cannot be read: {error}.", _EXAMPLE
        ) from error
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield _wish(line, f"Line {number} of '{source}'")


def _wish(line: str, where: str) -> tuple[str, bool]:
    try:
        entry: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError("batch_line", f"{where} is not JSON: {error}.", _EXAMPLE) from error
    if not isinstance(entry, dict) or not isinstance(entry.get("prompt"), str):
        raise InputError("batch_line", f"{where} has no text 'prompt': {line[:80]}", _EXAMPLE)
    reference = entry.get("reference")
    if not isinstance(reference, bool | str | None):
        raise InputError("batch_line", f"{where}: 'reference' is {reference!r}.", "Give true, false, null or a path.")
    return entry["prompt"], bool(reference)
