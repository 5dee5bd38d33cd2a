"""Words of Spanish, French, German and Chinese in English: the detector and the painter read English alone.

``lexicon/translations.json``: English -> [Spanish, French, German, Chinese], several words apart by spaces, without
accents, umlauts as two letters. What is not in it stays as it is.
"""

import re
import unicodedata
from functools import cached_property, lru_cache

from . import lexicon
from .noun_phrases import LOOKS, NOUNS, classes

Words = tuple[str, ...]

LANGUAGES = ("es", "fr", "de", "zh")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})
_ENDINGS = {
    "es": (("es", ""), ("s", ""), ("as", "o"), ("a", "o"), ("os", "o"), ("as", ""), ("a", ""), ("ces", "z")),
    "fr": (
        ("s", ""),
        ("es", ""),
        ("e", ""),
        ("x", ""),
        ("aux", "al"),
        ("euse", "eux"),
        ("elle", "el"),
        ("ve", "f"),
        ("ienne", "ien"),
        ("que", "c"),
        ("che", "c"),
    ),
    "de": (
        ("e", ""),
        ("en", ""),
        ("er", ""),
        ("es", ""),
        ("em", ""),
        ("n", ""),
        ("s", ""),
        ("ern", ""),
        ("ene", "en"),
        ("nen", "n"),
        ("ns", ""),
        ("in", ""),
    ),
    "zh": (),
}
_LINKS = ("", "s", "n", "en", "es")
_SHADES = frozenset({"light", "dark", "bright"})
_PARTICIPLE = re.compile(r"\w{3,}end(?:e|en|er|es|em)")
_OF = frozenset({"of", "in", "on"})


def plain(text: str, language: str) -> str:
    """Without accents; German umlauts as two letters."""
    if language == "de":
        return text.translate(_UMLAUTS)
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))


class Dictionary:
    """One language's words in English."""

    def __init__(self, language: str):
        self.language = language
        column = LANGUAGES.index(language)
        self._english: dict[str, Words] = {}
        for english, words in lexicon.load("translations").items():
            for word in words[column].split():
                self._english.setdefault(plain(word, language), tuple(english.split()))

    @cached_property
    def compounds(self) -> dict[str, tuple[Words, ...]]:
        """First word -> the entries of several words that begin with it, longest first."""
        table: dict[str, list[Words]] = {}
        for word in self._english:
            if "_" in word:
                parts = tuple(word.split("_"))
                table.setdefault(parts[0], []).append(parts)
        return {first: tuple(sorted(found, key=len, reverse=True)) for first, found in table.items()}

    def __contains__(self, word: str) -> bool:
        return self._lookup(word) is not None

    @property
    def entries(self) -> dict[str, Words]:
        """Every word with its English."""
        return self._english

    @lru_cache(maxsize=4096)  # noqa: B019 - the dictionaries live as long as the program
    def _lookup(self, word: str) -> Words | None:
        if word in self._english:
            return self._english[word]
        for ending, base in _ENDINGS[self.language]:
            if word.endswith(ending) and len(word) - len(ending) >= 2:
                found = self._english.get(word[: len(word) - len(ending)] + base)
                if found:
                    return found
        return self._split(word) if self.language == "de" and len(word) > 6 else None

    def _split(self, word: str) -> Words | None:
        """A German compound from its two parts ("lederjacke", "winterlandschaft"), else the thing that it ends in:
        a "kuckucksuhr" is a clock."""
        head: Words | None = None
        for cut in range(len(word) - 3, 2, -1):
            last = (
                self._english.get(word[cut:])
                or self._english.get(word[cut:].removesuffix("n"))
                or self._english.get(word[cut:].removesuffix("e"))
            )
            if not last or not classes(last[-1]) & (NOUNS | LOOKS):
                continue
            if classes(last[-1]) & NOUNS:
                head = last
            for link in _LINKS:
                first = self._english.get(word[:cut].removesuffix(link)) if word[:cut].endswith(link) else None
                if first:
                    return (*first, *last)
        return head

    def translate(self, phrase: Words, *, ordered: bool = True) -> Words:
        """English words; with ``ordered`` in English order: "silla azul de madera" -> "blue wood chair"."""
        groups = [self._lookup(word) or (word,) for word in phrase if not self._is_participle(word)]
        if ordered and self.language in ("es", "fr"):
            groups = _in_english_order(groups)
        return tuple(word for group in groups for word in lexicon_words(group))

    def _is_participle(self, word: str) -> bool:
        """ "parkenden", "laechelnde": what something does says nothing about what it is."""
        return self.language == "de" and bool(_PARTICIPLE.fullmatch(word)) and word not in self._english

    def known(self, phrase: Words) -> float:
        """The share of its words that can be translated; 1 for none."""
        return sum(word in self for word in phrase) / len(phrase) if phrase else 1.0


def lexicon_words(group: Words) -> Words:
    """The words of an entry as the lexicon has them: ``living_room``."""
    whole = "_".join(group)
    return (whole,) if len(group) > 1 and lexicon.english().classes(whole) else group


def _describes(group: Words) -> bool:
    kinds = classes("_".join(group)) if classes("_".join(group)) else classes(group[-1])
    return bool(kinds & LOOKS) and not kinds & (NOUNS - {"hair"})


def _names(group: Words) -> bool:
    return bool((classes("_".join(group)) or classes(group[-1])) & NOUNS)


def _in_english_order(groups: list[Words]) -> list[Words]:
    """Adjectives before their noun, and materials: "of wood", "in leather"."""
    found: list[Words] = []
    index = 0
    while index < len(groups):
        group = groups[index]
        following = groups[index + 1] if index + 1 < len(groups) else ("",)
        noun = _last_noun(found)
        if found and group[-1] in _SHADES and classes(found[-1][-1]) & {"colour"}:
            found.insert(len(found) - 1, group)  # "azul claro"
        elif noun is not None and (_describes(group) or (following[-1] in _SHADES and "colour" in classes(group[-1]))):
            found.insert(noun, group)
        elif noun is not None and group[-1] in _OF and (_describes(following) or "material" in classes(following[-1])):
            found.insert(noun, following)
            index += 1
        else:
            found.append(group)
        index += 1
    return found


def _last_noun(found: list[Words]) -> int | None:
    """Where the noun is that an adjective belongs to: the last word, or before other adjectives moved already."""
    return len(found) - 1 if found and _names(found[-1]) else None


@lru_cache(maxsize=4)
def dictionary(language: str) -> Dictionary:
    """The dictionary of "es", "fr", "de" or "zh"."""
    return Dictionary(language)
