"""Which category a wish's words alone make likely: logistic regression, its weights in ``word_weights.json``.

For where no sentence encoder is installed: standard library only, a tenth of a millisecond. ``training`` learns the
weights from ``examples.json``; the parts of a wish that they weigh are those of ``wording``.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .decision import CATEGORIES
from .wording import word_classes, words

WEIGHTS = Path(__file__).with_name("word_weights.json")
#: The stored numbers are whole: so many of them are 1.
SCALE = 50
_KNOWN = 0.5  # of the words of a wish that says something, of two or more, this share at least is in the examples


@dataclass(frozen=True)
class WordReading:
    """``probabilities`` by category, adding up to 1. ``strange``: most of the words are in no example."""

    probabilities: dict[str, float]
    strange: bool


def parts_of(text: str) -> set[str]:
    """What is weighed of a text."""
    return words(text) | word_classes(text)


def digest(texts: Iterable[str]) -> str:
    """Of the texts that something was learned from."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


@cache
def _learned() -> tuple[dict[str, list[int]], list[int]]:
    stored = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    return stored["parts"], stored["bias"]


def read_words(text: str) -> WordReading:
    """The probability of every category by the words of ``text``, all categories being as likely before."""
    parts, bias = _learned()
    found = words(text)
    single = [word for word in found if " " not in word]
    known = sum(word in parts for word in single)
    rows = [parts[part] for part in found | word_classes(text) if part in parts]
    length = math.sqrt(sum(row[0] * row[0] for row in rows)) / SCALE or 1.0
    sums = [sum(column) / length for column in zip(*rows, strict=True)][1:] or [0.0] * len(bias)
    scores = [(total + base) / SCALE for total, base in zip(sums, bias, strict=True)]
    highest = max(scores)
    powers = [math.exp(score - highest) for score in scores]
    chances = [power / sum(powers) for power in powers]
    strange = len(single) < 2 or known < _KNOWN * len(single)
    return WordReading(dict(zip(CATEGORIES, chances, strict=True)), strange)
