"""What an edit is: its category, what to mask and what to paint; and how each category puts that in words."""

from dataclasses import dataclass

from . import lexicon
from .looks import look_kind
from .noun_phrases import DETERMINERS, FACE, GARMENTS, LOOKS, NOUNS, SCENES, Phrase, classes
from .text import spoken

Words = tuple[str, ...]

EMPTY_BACKGROUND = "empty background"
#: The most confidence of what is guessed.
GUESS = 0.55
LIGHT, BACKGROUND, WHOLE = frozenset({"light"}), frozenset({"background"}), frozenset({"whole"})

# Where something worn or made up goes, when the wish doesn't say.
_TABLES = lexicon.load("places")
PLACES: dict[str, str] = _TABLES["of_class"]
_SPECIAL_PLACES: dict[str, str] = _TABLES["of_word"]
# What a detector calls those whom only the family knows.
_SEEN: dict[str, str] = {word: seen for seen, words in _TABLES["seen_as"].items() for word in words.split()}


@dataclass(frozen=True)
class Meaning:
    """A category with the words for mask and prompt, and why."""

    category: str
    target: str
    prompt: str
    confidence: float
    reason: str


def target_words(phrase: Phrase) -> str:
    """The noun phrase as it is searched for: no article, number or comma, nothing after the head."""
    words = phrase.core
    if phrase.head in _SEEN:
        words = (*(word for word in words[:-1] if classes(word) & LOOKS), _SEEN[phrase.head])
    while len(words) > 1 and (words[0].isdigit() or classes(words[0]) & {"number"}):
        words = words[1:]
    return spoken([word for word in words if word not in (",", ":")])


def new_words(words: Words) -> str:
    words = Phrase(words).bare
    if words and words[-1] in DETERMINERS:
        words = words[:-1]
    return spoken(words)


def face_place(phrase: Phrase, *, existing: bool = False) -> str:
    if existing and phrase.is_any(frozenset({"facial_hair", "tattoo"})):
        return spoken([phrase.head])
    return _SPECIAL_PLACES.get(phrase.head) or next(
        (PLACES[kind] for kind in PLACES if kind in phrase.kinds & FACE), "face"
    )


def worn_place(new: Phrase) -> str:
    return _SPECIAL_PLACES.get(new.head) or next((PLACES[kind] for kind in PLACES if kind in new.kinds), "clothes")


def as_clothes(old: Phrase, new: Phrase, *, at: Phrase | None = None) -> Meaning:
    """``at``: what is worn now, where no garment of its name is known."""
    if at:
        target = target_words(at)
    elif old.is_any(GARMENTS):
        target = target_words(old)
    elif old.is_any(frozenset({"body"}) | (FACE & {"face"})) and not new.is_any(frozenset({"upper", "full", "lower"})):
        target = target_words(old)
        target = "shoes" if target in ("feet", "foot") else target
    else:
        worn = frozenset().union(*(classes(word) for word in new.bare))
        target = "clothes" if {"upper", "lower"} <= worn else worn_place(new)
    return Meaning("clothes", target, new_words(new.words), 0.93, f'"{spoken(new.core)}" is worn.')


def as_appearance(feature: Phrase, new: Words, *, sure: float = 0.93) -> Meaning:
    return Meaning(
        "appearance",
        face_place(feature),
        new_words(new),
        sure,
        f'"{spoken(feature.core)}" is part of how a face looks.',
    )


def as_background(target: str, new: Words, *, sure: float = 0.93) -> Meaning:
    reason = "The sky is to change." if target == "sky" else "What lies behind is to change, the rest stays."
    return Meaning("background", target, new_words(new), sure, reason)


def as_light(new: Words, *, sure: float = 0.93) -> Meaning:
    return Meaning("light", "", new_words(new), sure, "Light, weather and season are all over the photo.")


def as_restyle(old: Phrase, new: Words, *, sure: float = 0.93) -> Meaning:
    style, place = new_words(new), target_words(old) if old.kinds & NOUNS and not old.is_any(WHOLE) else ""
    whole = place and not Phrase(new).is_any(SCENES) and place not in style
    prompt = (
        f"{place}, {style}" if whole and look_kind(Phrase(new).bare) == "" else f"{style} {place}" if whole else style
    )
    return Meaning("restyle", "", prompt, sure, "A place or the whole photo gets another style.")


def as_repaint(old: Phrase, new: Words, kind: str, *, sure: float = 0.95) -> Meaning:
    what = "Only a colour changes." if kind == "colour" else "Only the material or surface changes."
    return Meaning(kind, target_words(old), repainted(old, new), sure, what)


def repainted(old: Phrase, new: Words) -> str:
    """``red car``, ``blue`` -> ``blue car``: a new colour takes the place of the old one."""
    look = Phrase(new).bare
    thing = [word for word in old.core if word not in (",", ":")]
    if any(classes(word) & {"colour", "colour_general"} for word in look):
        thing = [word for word in thing[:-1] if not classes(word) & {"colour"} and word not in ("and", "or")] + thing[
            -1:
        ]
    if look[-1:] == ("one",) or look[-1:] == tuple(thing[-1:]):
        return spoken([*look[:-1], thing[-1]])
    if len(look) > 1 and look[-1] in ("colour", "color", "shade", "tone", "tint", "finish"):
        look = look[:-1]
    if "with" in look or "of" in look or "from" in look:
        return spoken([*thing, "with" if look[0] != "with" else "", *look])
    return spoken([*look, *thing])
