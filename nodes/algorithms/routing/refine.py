"""What the rules leave open: a text encoder is asked, then the photo, and all are weighed."""

import re
from collections.abc import Collection
from dataclasses import replace

from .decision import CATEGORIES, SURE, WHOLE_IMAGE, WITHOUT_REFERENCE, Edit, TextEncoder, new_edit
from .evidence import is_garment, weigh

# What to mask when an edit that was taken for one of the whole photo is not.
_PLACES = {"background": "background", "appearance": "face", "clothes": "clothes", "person": "person"}
_LEFT = "empty background"
_LIKELY = 0.5
_PRONOUNS = frozenset({"", "he", "her", "him", "it", "me", "she", "them", "they", "us", "we"})


def refine(
    edit: Edit,
    wish: str,
    *,
    reference: bool = False,
    found: Collection[str] | None = None,
    encoder: TextEncoder | None = None,
) -> Edit:
    """``edit``, which the rules made of the words ``wish``, after what ``encoder`` and the photo say, where given.

    ``reference``: whether there is a picture that the wish does not ask to ignore. ``found``: see ``evidence.weigh``.
    """
    if encoder is not None and edit.confidence < SURE:
        edit = _compare(edit, wish, reference, encoder)
    return edit if found is None else weigh(edit, found)


def _compare(edit: Edit, wish: str, reference: bool, encoder: TextEncoder) -> Edit:
    """``edit`` in the category that rules and ``encoder`` together find likeliest.

    The rules count as a witness who is right with probability ``edit.confidence`` and knows nothing else; the encoder
    says a probability for every category, which it has measured on its examples. The two are multiplied (as in naive
    Bayes) and the likeliest category's share is the new confidence. A text strange to the encoder
    changes nothing, nor does another category that is no likelier than all others together.
    """
    from .classifier import read  # numpy, which the rules do without

    reading = read(wish, encoder)
    if reading.strange:
        return edit
    rest = (1 - edit.confidence) / (len(CATEGORIES) - 1)
    shares = {
        name: chance * (edit.confidence if name == edit.category else rest)
        for name, chance in reading.probabilities.items()
        if name == edit.category or _possible(edit, name)
    }
    category = max(shares, key=shares.get)
    confidence = shares[category] / sum(shares.values())
    if category == edit.category:
        return replace(edit, confidence=round(confidence, 3))
    if confidence < _LIKELY:
        return edit
    return new_edit(
        category,
        _target(edit, wish, category),
        _prompt(edit, wish, category),
        confidence=confidence,
        use_reference=edit.use_reference or (reference and edit.category in WITHOUT_REFERENCE),
        reasons=(*edit.reasons, f'Reads like "{reading.example}", which is {_NAMES[category]}.'),
    )


def _possible(edit: Edit, category: str) -> bool:
    """Whether there is something to mask for an edit of ``category``."""
    return bool(edit.target) or category in WHOLE_IMAGE or category in _PLACES


def _target(edit: Edit, wish: str, category: str) -> str:
    if category == "background":  # what the rules found is what stands in front of it
        return "sky" if re.search(r"\bsky\b", wish, re.I) else "background"
    if category == "clothes" and not is_garment(edit.target):  # but who is to wear them
        return "clothes"
    return _PLACES.get(category, "") if edit.target.casefold() in _PRONOUNS else edit.target


def _prompt(edit: Edit, wish: str, category: str) -> str:
    """A removal's prompt names what is left, any other's what is new."""
    if category == "removal":
        return _LEFT
    return wish.strip() if edit.category == "removal" else edit.prompt


_NAMES = {
    "colour": "a change of colour",
    "material": "a change of material or pattern",
    "removal": "a removal",
    "background": "a new background",
    "light": "a change of light or weather",
    "appearance": "a change of face or hair",
    "clothes": "a change of clothes",
    "person": "another person in the same pose",
    "object": "another thing in its place",
    "restyle": "another style for the whole photo",
}
