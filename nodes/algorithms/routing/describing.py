"""No verb at all: a wish that only describes what it wants to see, "blue car", "twilight"."""

from dataclasses import replace

from .changes import change
from .looks import look_kind, modifiers, split_look
from .meaning import (
    BACKGROUND,
    GUESS,
    LIGHT,
    Meaning,
    as_appearance,
    as_background,
    as_light,
    as_restyle,
    new_words,
    target_words,
    worn_place,
)
from .noun_phrases import DETERMINERS, FACE, GARMENTS, LOOKS, NOUNS, PEOPLE, SCENES, Phrase, classes
from .patterns import Frame

Words = tuple[str, ...]


def describe(frame: Frame) -> Meaning | None:
    """No verb: the photo as it shall be, "blue car", "twilight"."""
    new = Phrase(frame.new)
    if not new.core:
        return None
    for rule in _DESCRIPTIONS:
        found = rule(new, frame.new)
        if found:
            return found
    return None


def context(frame: Frame) -> Meaning | None:
    """A statement: a guess at most, from what it speaks of."""
    found = describe(Frame("describe", new=frame.new or frame.old))
    if found:
        return replace(found, confidence=min(found.confidence, 0.35))
    about = Phrase(frame.old or frame.new)
    return Meaning("colour", target_words(about), new_words(about.words), 0.2, "It states something.")


def _describe_result(new: Phrase, words: Words) -> Meaning | None:
    """ "the lamp black": a thing and, after it, its look."""
    thing, look = split_look(words)
    if (
        not look
        or not _begins_with_a_thing(words)
        or look_kind(look) == ""
        or not classes(thing[-1]) & NOUNS
        or classes(look[-1]) & NOUNS
    ):
        return None
    return change(Phrase(thing), look)


def _begins_with_a_thing(words: Words) -> bool:
    kinds = classes(words[0])
    return words[0] in DETERMINERS or bool(kinds & NOUNS and not kinds & LOOKS)


def _describe_scene(new: Phrase, words: Words) -> Meaning | None:
    look = look_kind(new.bare)
    if new.is_any(BACKGROUND):
        return as_background(
            "sky"
            if any("sky" in word for word in new.core) or new.head in ("clouds", "stars", "northern_lights", "aurora")
            else "background",
            words,
            sure=0.88,
        )
    if new.is_any(LIGHT) or look == "light_adj":
        return as_light(words, sure=0.85)
    if new.is_any(frozenset({"style"})) or look == "style":
        return as_restyle(Phrase(()), words, sure=0.8)
    if new.is_any(SCENES | {"whole"}):
        kind = modifiers(new)
        tail = _tail_kind(new)
        if new.has("style"):
            return as_restyle(Phrase(()), words, sure=0.85)
        if kind == "light_adj" or new.has("light"):
            return as_light(words, sure=0.7)
        if kind in ("colour", "material") or tail:
            return Meaning(
                kind if kind in ("colour", "material") else tail,
                target_words(Phrase((new.head,))),
                new_words(words),
                0.7,
                "A surface is described.",
            )
        if new.is_any(frozenset({"outdoor", "place_name"})):
            return as_background("background", words, sure=GUESS)
        return as_restyle(Phrase(()), words, sure=GUESS)
    return None


def _tail_kind(new: Phrase) -> str:
    """ "house with a weathered red brick facade": what the words after the head describe."""
    kinds = [look_kind((word,)) for word in new.tail]
    return "material" if "material" in kinds else "colour" if "colour" in kinds else ""


def _describe_person(new: Phrase, words: Words) -> Meaning | None:
    if new.is_any(FACE) and not new.kinds & GARMENTS:
        return as_appearance(new, words, sure=0.88)
    worn = [word for word in new.tail if classes(word) & FACE]
    if new.is_any(PEOPLE) and worn:
        return as_appearance(Phrase((worn[-1],)), new.tail[1:], sure=0.8)
    if {"bald", "bearded"} & set(new.bare):
        return Meaning("appearance", "head", new_words(words), 0.8, "It describes a face.")
    if new.is_any(frozenset({"role"})) and not new.is_any(frozenset({"person"})):
        return Meaning("person", "person", new_words(words), GUESS, "It describes somebody.")
    if look_kind(new.bare) == "person_adj" or (new.is_any(frozenset({"person"})) and modifiers(new) == "person_adj"):
        return Meaning("appearance", "face", new_words(words), 0.65, "It describes a face.")
    return None


def _describe_thing(new: Phrase, words: Words) -> Meaning | None:
    kind, head = modifiers(new), (new.head,)
    if not new.kinds & NOUNS and not kind:
        return None
    sure = 0.85 if new.kinds & NOUNS and not new.kinds & LOOKS else GUESS
    name = target_words(Phrase(_noun(new) or head))
    if kind in ("colour", "material"):
        return Meaning(kind, name, new_words(words), sure, f'"{new_words(words)}" describes how it shall look.')
    if _tail_kind(new) and new.kinds & NOUNS and not new.is_any(GARMENTS | PEOPLE):
        return Meaning(_tail_kind(new), name, new_words(words), 0.7, "It describes a surface.")
    if new.is_any(GARMENTS):
        return Meaning("clothes", worn_place(new), new_words(words), 0.6, "A garment is named.")
    if any("light" in classes(word) for word in words):
        return as_light(words, sure=GUESS)
    if new.kinds & NOUNS:
        return Meaning("colour", name, new_words(words), 0.4, "The wish names a thing and no change.")
    return None


def _noun(new: Phrase) -> Words:
    """The head with the nouns before it: "kitchen counter"."""
    core = new.core
    start = len(core) - 1
    while start > 0 and classes(core[start - 1]) & (NOUNS | {"attribute"}) and not classes(core[start - 1]) & LOOKS:
        start -= 1
    return core[start:]


def _describe_any(new: Phrase, words: Words) -> Meaning | None:
    """ "winter wonderland": the head is not known, but another word of it is."""
    if new.has("light"):
        return as_light(words, sure=0.6)
    if new.has("style"):
        return as_restyle(Phrase(()), words, sure=GUESS)
    return None


_DESCRIPTIONS = (_describe_result, _describe_scene, _describe_person, _describe_thing, _describe_any)
