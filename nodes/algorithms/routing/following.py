"""What to mask when an encoder puts an edit into another category than the rules did."""

import re

from .decision import WHOLE_IMAGE, Edit
from .english import GRAMMAR
from .guessing import first_of, main_thing, noun_phrases_of
from .meaning import face_place, target_words, worn_place
from .noun_phrases import FACE, GARMENTS, PEOPLE, Phrase
from .text import LONGEST_CLAUSE, normalised, sentences

# Where nothing in the wish says what.
_PLACES = {"background": "background", "appearance": "face", "clothes": "clothes", "person": "person"}
_PRONOUNS = frozenset({"", "he", "her", "him", "it", "me", "she", "them", "they", "us", "we"})
# Targets of the category before that tell nothing about the one after.
_VAGUE = frozenset({"background", "sky", "clothes", "face", "person", "head"})


def new_target(edit: Edit, wish: str, category: str) -> str | None:
    """The target of ``edit``, which the rules made of the words ``wish``, as one of ``category``.

    Empty for the whole photo; None where there is nothing to mask.
    """
    if category in WHOLE_IMAGE:
        return ""
    if category == "background":  # what the rules found is what stands in front of it
        return "sky" if re.search(r"\bsk(?:y|ies)\b", wish, re.I) else "background"
    found = noun_phrases_of(_words(wish))
    named = _named(category, Phrase(tuple(edit.target.split())) if edit.target else None, found)
    if named:
        return named
    if category in _PLACES:
        return _PLACES[category]
    if edit.target.casefold() not in _PRONOUNS | _VAGUE and edit.target.casefold() != wish.casefold():
        return edit.target
    return target_words(main_thing(found)) if found else None


def _named(category: str, target: Phrase | None, found: list[Phrase]) -> str:
    """What of the right kind the rules' target or the wish names."""
    if category == "clothes":
        if target and target.is_any(GARMENTS):
            return target_words(target)
        garment = first_of(found, GARMENTS)
        return worn_place(garment) if garment else ""
    if category == "appearance":
        feature = target if target and target.is_any(FACE) else first_of(found, FACE)
        return face_place(feature) if feature else ""
    if category == "person":
        somebody = target if target and target.is_any(PEOPLE) else first_of(found, PEOPLE)
        return target_words(somebody) if somebody else ""
    return ""


def _words(wish: str) -> tuple[str, ...]:
    return tuple(word for sentence in sentences(normalised(wish)) for word in GRAMMAR.words(sentence))[:LONGEST_CLAUSE]
