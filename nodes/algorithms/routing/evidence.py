"""What is in the photo, as a detector found it, and what that changes about an edit."""

import re
from collections.abc import Collection
from dataclasses import replace

from .decision import COMPLEX, DEPTH, POSE, SURE, Edit, new_edit
from .lexicon import english, singular

#: What a detector is asked for beside the targets, to know whether there is a pose to keep.
PERSON = "person"

_PEOPLE = frozenset({"person", "role"})
_WORN = frozenset(
    {"upper", "lower", "full", "feet", "headwear", "eyewear", "facewear", "neckwear", "earwear", "handwear"}
)
_UNSEEN = frozenset({"background", "sky", "wall", "floor", "ceiling", "scene", "room"})  # places rather than things
_ASIDE = re.compile(r"\s+(?:of|on|in|with|at|from|under|behind|beside|next|near)\s+")
_DOUBT = 0.5  # what an edit is still worth when its object was not found
_TWICE = 0.9  # a garment named and a person there: clothes, unless a reason speaks against it


def questions(edits: Collection[Edit]) -> list[str]:
    """What to look for in the photo, for ``weigh``: the targets, and people where a pose hangs on them.

    Empty when looking would change nothing: each edit is certain, and none needs or could need a pose.
    """
    hinges = any(POSE in edit.controls or _could_be_worn(edit) for edit in edits)
    if not hinges and all(edit.confidence >= SURE for edit in edits):
        return []
    asked = list(dict.fromkeys(edit.target for edit in edits if edit.target and not _is_place(edit.target)))
    if hinges and not any(_is_of(target, _PEOPLE) for target in asked):
        asked.append(PERSON)
    return asked


def weigh(edit: Edit, found: Collection[str]) -> Edit:
    """``edit`` in the light of ``found``: the labels of what a detector saw when asked ``questions``, maybe nothing."""
    seen = {singular(word) for label in found for word in re.findall(r"[\w'-]+", label.casefold())}
    person = any(english().classes(word) & _PEOPLE for word in seen)
    if person and _could_be_worn(edit):
        edit = new_edit(
            "clothes",
            edit.target,
            edit.prompt,
            confidence=max(edit.confidence, _TWICE),
            use_reference=edit.use_reference,
            reasons=(*edit.reasons, "A person is in the photo and a garment is named, so it is about clothes."),
        )
    if edit.target and not _is_place(edit.target) and not _is_seen(edit.target, seen, person):
        reason = f"No {edit.target} was found in the photo."
        edit = replace(edit, confidence=round(edit.confidence * _DOUBT, 3), reasons=(*edit.reasons, reason))
    if POSE in edit.controls and not person:
        reason = "Nobody was found in the photo, so there is no pose to keep; depth keeps the shapes instead."
        edit = replace(edit, pipeline=COMPLEX, controls=(DEPTH,), reasons=(*edit.reasons, reason))
    return edit


def _is_seen(target: str, seen: set[str], person: bool) -> bool:
    return singular(_head(target)) in seen or (person and _is_of(target, _PEOPLE))


def _is_place(target: str) -> bool:
    return _head(target) in _UNSEEN


def _could_be_worn(edit: Edit) -> bool:
    return edit.category == "object" and is_garment(edit.target)


def is_garment(phrase: str) -> bool:
    """Whether a noun phrase names something that people wear."""
    return _is_of(phrase, _WORN)


def _is_of(phrase: str, classes: frozenset[str]) -> bool:
    return bool(english().classes(_head(phrase)) & classes)


def _head(phrase: str) -> str:
    """The last word of a noun phrase before any "of", "on", "with": the thing itself."""
    words = _ASIDE.split(phrase.casefold().strip())[0].split()
    return words[-1] if words else ""
