"""What the rules leave open: a text encoder is asked, then the photo, and all are weighed."""

import math
from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from .decision import WITHOUT_REFERENCE, Edit, TextEncoder, new_edit
from .evidence import weigh
from .following import new_target
from .meaning import GUESS
from .word_model import WordReading, read_words

if TYPE_CHECKING:
    from .classifier import Reading

_LEFT = "empty background"
_LIKELY = 0.5
_MOST = 0.99  # nothing is certain
# How much the rules' sureness counts: 90 % sure, they make their category's odds seven times what they were.
_BESIDE_ENCODER = (2.6, 0.4)
_BESIDE_WORDS = (4.0, 1.5)
# Words tell what kind of edit it is, not whether it is one: (the rules' confidence up to which, the most it may get).
_CEILINGS = ((0.2, 0.3), (GUESS, GUESS))


def refine(
    edit: Edit,
    wish: str,
    *,
    reference: bool = False,
    found: Collection[str] | None = None,
    encoder: TextEncoder | None = None,
    by_words: bool = False,
) -> Edit:
    """``edit``, which the rules made of the words ``wish``, after what ``encoder`` and the photo say, where given.

    ``by_words``: in an encoder's place the words of ``wish`` speak for themselves (``word_model``).

    ``reference``: whether there is a picture that the wish does not ask to ignore. ``found``: see ``evidence.weigh``.
    """
    if encoder is not None:
        from .classifier import read  # numpy, which the rules do without

        edit = _compare(edit, wish, reference, read(wish, encoder), _BESIDE_ENCODER)
    elif by_words:
        compared = _compare(edit, wish, reference, read_words(wish), _BESIDE_WORDS)
        most = next((most for sure, most in _CEILINGS if edit.confidence <= sure), 1.0)
        edit = replace(compared, confidence=min(compared.confidence, most))
    return edit if found is None else weigh(edit, found)


def _compare(
    edit: Edit, wish: str, reference: bool, reading: "Reading | WordReading", trusts: tuple[float, float]
) -> Edit:
    """``edit`` in the category that rules and ``reading`` together find likeliest.

    A reading says a probability for every category, measured on the examples. The rules multiply the odds of theirs,
    by the more the surer they are: by how much was fitted (logistic regression) on wishes that neither had seen, on
    which rules that call themselves 90 % sure were right four times in five. The likeliest category's share is the new
    confidence. A text strange to the reader changes nothing, nor does a share that is a mere guess.
    """
    if reading.strange:
        return edit
    trust = math.exp(max(0.0, trusts[0] * edit.confidence - trusts[1]))
    odds = {name: chance * (trust if name == edit.category else 1.0) for name, chance in reading.probabilities.items()}
    category = max(odds, key=odds.get)
    confidence = min(_MOST, odds[category] / sum(odds.values()))
    if category == edit.category:
        return replace(edit, confidence=round(confidence, 3))
    target = new_target(edit, wish, category)
    if confidence < _LIKELY or target is None:
        return edit
    return new_edit(
        category,
        target,
        _prompt(edit, wish, category),
        confidence=confidence,
        use_reference=edit.use_reference or (reference and edit.category in WITHOUT_REFERENCE),
        reasons=(*edit.reasons, _reason(reading, category)),
    )


def _reason(reading: "Reading | WordReading", category: str) -> str:
    if isinstance(reading, WordReading):
        return f"Its words speak of {_NAMES[category]}."
    return f'Reads like "{reading.example}", which is {_NAMES[category]}.'


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
