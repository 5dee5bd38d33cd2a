"""The English words the rules know, by class, and the nearest of them to a misspelt one.

The classes are data: ``lexicon/*.json`` map a class to lines of words, ``living_room`` standing for two words.
"""

import json
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "lexicon"
_IRREGULAR = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "people": "person",
    "feet": "foot",
    "teeth": "tooth",
    "mice": "mouse",
    "geese": "goose",
    "knives": "knife",
    "leaves": "leaf",
    "shelves": "shelf",
    "loaves": "loaf",
    "wolves": "wolf",
    "scarves": "scarf",
    "calves": "calf",
    "wives": "wife",
    "elves": "elf",
    "dwarves": "dwarf",
}
_ENGLISH = Path(__file__).with_name("minilm_vocab.txt")
_SHORTEST_MISSPELT = 4
_SHORT = 6
_TWO_EDITS_FROM = 7


def load(name: str) -> dict:
    """The JSON object in ``lexicon/<name>.json``."""
    return json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=32)
def particles(name: str) -> frozenset[str]:
    """A set of small words from ``lexicon/particles.json``."""
    return frozenset(" ".join(load("particles")[name]).split())


def singular(word: str) -> str:
    """The singular an English plural most likely has; any other word as it is."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        return word[:-1]
    return word


class Lexicon:
    """Words by class, and the classes of a word. A word may have several: "orange", "glass"."""

    def __init__(self, tables: Iterable[dict[str, list[str]]]):
        self._classes: dict[str, frozenset[str]] = {}
        for table in tables:
            for name, lines in table.items():
                for word in " ".join(lines).split():
                    self._classes[word] = self._classes.get(word, frozenset()) | {name}

    def __contains__(self, word: str) -> bool:
        return bool(self.classes(word))

    def classes(self, word: str) -> frozenset[str]:
        """Of ``word`` in any number; empty when it is not known."""
        found = self._classes.get(word)
        if found is None:
            found = self._classes.get(singular(word))
            if found and "colour" in found and len(found) > 1:
                found -= {"colour"}  # "oranges", "roses"
        if found is None and word.endswith("'s"):
            found = self._classes.get(word[:-2])
        return found or frozenset()

    @cached_property
    def compounds(self) -> dict[str, tuple[tuple[str, ...], ...]]:
        """First word -> the compounds that begin with it, longest first."""
        table: dict[str, list[tuple[str, ...]]] = {}
        for word in self._classes:
            if "_" in word:
                parts = tuple(word.split("_"))
                table.setdefault(parts[0], []).append(parts)
        return {first: tuple(sorted(found, key=len, reverse=True)) for first, found in table.items()}

    @cached_property
    def _order(self) -> dict[str, int]:
        single = dict.fromkeys(part for word in self._classes for part in word.split("_"))
        return {word: rank for rank, word in enumerate(single)}

    @cached_property
    def _by_letter(self) -> dict[str, list[str]]:
        table: dict[str, list[str]] = {}
        for word in self._order:
            if len(word) >= _SHORTEST_MISSPELT - 1:
                table.setdefault(word[0], []).append(word)
        return table

    @lru_cache(maxsize=64)  # noqa: B019 - the one lexicon lives as long as the program
    def _shortened(self, letter: str) -> dict[str, list[str]]:
        """Of the words that begin with ``letter``; made when a misspelt word first asks for it."""
        table: dict[str, list[str]] = {}
        for word in self._by_letter.get(letter, ()):
            for short in _shorter(word):
                table.setdefault(short, []).append(word)
        return table

    def is_word(self, word: str) -> bool:
        """Whether it is known, alone or as a part of a compound."""
        return word in self._order or singular(word) in self._order or bool(self.classes(word))

    @lru_cache(maxsize=4096)  # noqa: B019 - the one lexicon lives as long as the program
    def corrected(self, word: str) -> str:
        """The known word that ``word`` is most likely meant to be; itself when none is near enough.

        One letter missing, too many, swapped or wrong; two in long words. The first letter is trusted, and so are words
        that people write.
        """
        if len(word) < _SHORTEST_MISSPELT - 1 or len(word) > 24 or not word.isalpha() or self.is_word(word):
            return word
        if word in _other_words():
            return word
        tables = [self._shortened(letter) for letter in dict.fromkeys(word[:2])]  # the first two may be swapped
        found = {near for short in _shorter(word) for table in tables for near in table.get(short, ())}
        ranked = []
        for near in found:
            distance = edit_distance(word, near)
            if self._may_be(word, near, distance):
                swapped = sorted(word) == sorted(near)
                ranked.append((distance, not swapped, len(near) <= len(word), self._order[near], near))
        return min(ranked)[4] if ranked else word

    @staticmethod
    def _may_be(word: str, near: str, distance: int) -> bool:
        if sorted(word) == sorted(near) and distance == 1:
            return True  # two neighbours swapped
        if word[0] != near[0] or len(near) < _SHORTEST_MISSPELT:
            return False
        if distance == 1 and len(word) <= _SHORT and len(word) >= len(near):
            # Of a short word a letter was missed or typed twice; another letter makes another word.
            return len(word) > len(near) and any(a == b for a, b in zip(word, word[1:], strict=False))
        return distance == 1 or (distance == 2 and len(word) >= _TWO_EDITS_FROM)


def _shorter(word: str) -> set[str]:
    """``word`` and what is left of it without one letter."""
    return {word, *(word[:index] + word[index + 1 :] for index in range(len(word)))}


def edit_distance(first: str, second: str) -> int:
    """Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours."""
    before, last = [], list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        row = [i]
        for j, b in enumerate(second, 1):
            cost = min(row[j - 1] + 1, last[j] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


@lru_cache(maxsize=1)
def _other_words() -> frozenset[str]:
    """What else is a word: the whole words of the sentence encoder's vocabulary."""
    return frozenset(_ENGLISH.read_text(encoding="utf-8").split())


@lru_cache(maxsize=1)
def english() -> Lexicon:
    """The lexicon of ``nouns.json``, ``looks.json`` and ``function_words.json``."""
    return Lexicon([load("function_words"), load("looks"), load("nouns")])
