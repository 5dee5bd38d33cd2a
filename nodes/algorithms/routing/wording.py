"""What a wish's words say about its category, beside its meaning: the words, their classes, and their neighbours.

A text encoder sees that two wishes are alike; it hardly sees that "instead of" stands between two things, or that
what somebody is put into is a garment. The rules' lexicon knows the classes of words: so every wish is described by its
words and pairs of words, and by the same with each word's classes in its place ("put her in a parka" -> put her in a
<garment>). Rare ones weigh more (inverse document frequency: Manning, Raghavan, Schütze, Introduction to Information
Retrieval, section 6.2.1).
"""

import re
from functools import lru_cache

from .lexicon import english
from .noun_phrases import classes
from .text import normalised

_WORD = re.compile(r"\w+(?:['-]\w+)*")
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
