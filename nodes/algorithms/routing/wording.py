"""What a wish's words say about its category, beside its meaning: the words, their classes, and their neighbours.

A text encoder sees that two wishes are alike; it hardly sees that "instead of" stands between two things, or that
what somebody is put into is a garment. The rules' lexicon knows the classes of words: so every wish is described by its
words and pairs of words, and by the same with each word's classes in its place ("put her in a parka" -> put her in a
<garment>). Rare ones weigh more (inverse document frequency: Manning, Raghavan, Schütze, Introduction to Information
Retrieval, section 6.2.1).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import lru_cache

import numpy as np

from .lexicon import english
from .noun_phrases import classes
from .text import normalised

_WORD = re.compile(r"\w+(?:['-]\w+)*")
_SEEN = 2  # in how many examples a part must be to count
# Words that stand for themselves: how they join the others is what counts.
_JOINING = frozenset(
    ["a", "an", "the", "this", "that", "it", "in", "on", "of", "with", "to", "into"]
    + ["from", "for", "as", "like", "instead", "rather", "than", "not", "no", "without", "and", "or"]
    + ["but", "is", "are", "was", "were", "be", "should", "would", "could", "can", "i", "me"]
    + ["my", "we", "us", "our", "you", "she", "her", "he", "him", "his", "they", "them"]
    + ["their", "there", "what", "if", "how", "out", "off", "up", "down", "away", "behind", "front"]
    + ["over", "where", "one"]
)
_START, _END, _UNKNOWN = "<", ">", "?"


@lru_cache(maxsize=8192)
def _classes(word: str) -> tuple[str, ...]:
    if word in _JOINING:
        return (word,)
    return tuple(sorted(f"@{name}" for name in classes(english().corrected(word)))) or (_UNKNOWN,)


def words(text: str) -> set[str]:
    """The words and pairs of neighbours of ``text``."""
    found = [english().corrected(word) for word in _WORD.findall(normalised(text))]
    ends = [_START, *found, _END]
    return {*found, *(f"{a} {b}" for a, b in zip(ends, ends[1:], strict=False))}


def word_classes(text: str) -> set[str]:
    """The classes of its words, in pairs of neighbours and of next but one, too."""
    found = [(_START,), *map(_classes, _WORD.findall(normalised(text))), (_END,)]
    parts = {name for names in found for name in names}
    for apart in (1, 2):
        parts |= {
            f"{a}{'~' * apart}{b}"
            for first, second in zip(found, found[apart:], strict=False)
            for a in first
            for b in second
        }
    return parts


class Counts:
    """Texts as rows of numbers, each of length 1 or 0, for the ``parts`` that two or more of ``texts`` have."""

    def __init__(self, parts: Callable[[str], set[str]], texts: Iterable[str]):
        self._parts = parts
        split = [parts(text) for text in texts]
        counts = Counter(part for found in split for part in found)
        known = sorted(part for part, count in counts.items() if count >= _SEEN)
        self._columns = {part: column for column, part in enumerate(known)}
        self._weights = np.array([np.log(len(split) / counts[part]) for part in known], dtype=np.float32)
        self.rows = self._rows(split)

    def of(self, text: str) -> np.ndarray:
        """The row of one more text: float32 [parts]."""
        return self._rows([self._parts(text)])[0]

    def _rows(self, split: list[set[str]]) -> np.ndarray:
        rows = np.zeros((len(split), len(self._columns)), dtype=np.float32)
        for row, found in zip(rows, split, strict=True):
            columns = [self._columns[part] for part in found if part in self._columns]
            row[columns] = self._weights[columns]
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
