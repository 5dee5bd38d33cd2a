"""Values to try one after another: ``seed=1..8``, ``guidance=5,7.5,10``, and every combination of several."""

import csv
import itertools
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import InputError

MOST_JOBS = 100_000
_RANGE = re.compile(r"\s*(-?\d+)\.\.(-?\d+)\s*")
_HINT = "Write --sweep seed=1..8, or --sweep guidance=5,7.5,10."


def parse_sweeps(sweeps: Iterable[str] | Mapping[str, Iterable[Any]]) -> dict[str, list[Any]]:
    """Input -> the values it takes in turn.

    A text is ``NAME=VALUES``: values with commas between them, in double quotes where they hold one, and whole numbers
    from A to B as ``A..B``. Raises ``InputError`` ``option_invalid``.
    """
    pairs = sweeps.items() if isinstance(sweeps, Mapping) else map(_parse, sweeps)
    found: dict[str, list[Any]] = {}
    for name, values in pairs:
        if name in found:
            raise InputError("option_invalid", f"'{name}' is swept twice.", "Give all its values in one sweep.")
        found[name] = list(values)
        if not found[name]:
            raise InputError("option_invalid", f"The sweep of '{name}' has no value.", _HINT)
        seen: set = set()
        twice = [value for value in map(str, found[name]) if value in seen or seen.add(value)][:1]
        if twice:
            raise InputError("option_invalid", f"The sweep of '{name}' has {twice[0]!r} twice.", "Keep one of them.")
    return found


def grid(sweeps: Mapping[str, list[Any]], rows: int) -> list[dict[str, Any]]:
    """Every combination, the last name's values changing fastest; one empty combination without sweeps.

    Raises ``InputError`` ``option_invalid`` when ``rows`` of it are more than ``MOST_JOBS`` jobs.
    """
    jobs = rows * math.prod(len(values) for values in sweeps.values())
    if jobs > MOST_JOBS:
        raise InputError("option_invalid", f"That would be {jobs:,} jobs; the most is {MOST_JOBS:,}.", "Sweep less.")
    return [dict(zip(sweeps, point, strict=True)) for point in itertools.product(*sweeps.values())]


def _parse(text: str) -> tuple[str, list[str | int]]:
    name, equals, given = text.partition("=")
    if not equals or not name.strip():
        raise InputError("option_invalid", f"--sweep {text!r} is not NAME=VALUES.", _HINT)
    values: list[str | int] = []
    for item in next(csv.reader([given], skipinitialspace=True), []):
        span = _RANGE.fullmatch(item)
        if span is None:
            values += [item.strip()] if item.strip() else []
            continue
        low, high = int(span[1]), int(span[2])
        if high < low or high - low >= MOST_JOBS:
            why = "ends before it begins" if high < low else f"has more than {MOST_JOBS:,} values"
            raise InputError("option_invalid", f"The range {item.strip()} of '{name.strip()}' {why}.", _HINT)
        values += range(low, high + 1)
    return name.strip(), values
