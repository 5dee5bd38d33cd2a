"""What the operations mean that the constructions of a language stand for."""

from dataclasses import replace

from .changes import change
from .describing import context, describe
from .looks import look_kind, split_look
from .meaning import (
    BACKGROUND,
    EMPTY_BACKGROUND,
    GUESS,
    LIGHT,
    WHOLE,
    Meaning,
    as_appearance,
    as_background,
    as_clothes,
    as_light,
    as_restyle,
    face_place,
    new_words,
    target_words,
)
from .noun_phrases import DETERMINERS, FACE, GARMENTS, LOOKS, NOUNS, PEOPLE, SCENES, Phrase, classes, finite_verb
from .patterns import Frame
from .placing import behind, give, give_split, material, on, put

_NOT_OF_A_FACE = GARMENTS | {"furniture", "thing", "vehicle", "building", "room", "outdoor"}
_SOME = frozenset({"a", "an", "some", "two", "more", "another"})
_DEFINITE = frozenset({"the", "this", "that", "my", "his", "her", "our", "your", "their"})
_NO_VERBS = NOUNS | LOOKS | {"determiner", "preposition", "pronoun", "participle", "other"}


def removal(frame: Frame) -> Meaning | None:
    old, place = Phrase(frame.old), Phrase(frame.place)
    if frame.old[:1] in (("what",), ("what's",), ("everything",)) and "behind" in frame.old:
        return as_background("background", ("empty", "background"), sure=0.8)
    if not old.head or (old.is_pronoun and old.head in ("it", "this", "that")):
        return None
    if place.is_any(GARMENTS) and (old.is_any(PEOPLE) or old.is_pronoun):
        old, place = place, Phrase(())  # "get him out of that anorak"
    sure, name = 0.95, target_words(old)
    if old.is_any(LIGHT):
        return Meaning(
            "light", "", f"without {new_words(frame.old)}", sure, f'"{name}" is a matter of light or weather.'
        )
    on_a_thing = any(classes(word) & _NOT_OF_A_FACE for word in old.tail)
    if (
        not on_a_thing
        and old.kinds & (FACE - {"face", "expression", "nails", "tattoo"})
        and not old.kinds & (GARMENTS | {"thing", "furniture"})
    ):
        return Meaning(
            "appearance",
            face_place(old, existing=True),
            f"face without {name}",
            sure,
            f'Removing "{name}" changes a look of a person.',
        )
    if old.is_any(BACKGROUND) and not old.head.startswith("back"):
        return as_background("sky", ("clear", "sky"))
    if old.is_any(BACKGROUND):
        return Meaning("background", name, "plain white background", sure, "The background is to go.")
    ground = place if place.head and not place.is_any(WHOLE | {"light", "background"}) else Phrase(())
    prompt = f"empty {target_words(ground)}" if ground.head else EMPTY_BACKGROUND
    return Meaning("removal", name, prompt, sure if old.kinds else 0.88, f'"{name}" is to be removed.')


def complaint(frame: Frame) -> Meaning | None:
    """Something spoils the photo: it is to go, unless the wish says what else shall happen."""
    found = removal(frame)
    return replace(found, confidence=min(found.confidence, 0.7)) if found else None


def statement(frame: Frame) -> Meaning | None:
    """A subject and a verb in the third person that the grammar doesn't list: "the hijab blends into the wall"."""
    return context(frame) if finite_verb(frame.new) else None


def state(frame: Frame) -> Meaning | None:
    """How something is: "the worktops read as cheap laminate"; "make the lamp look new" is no statement."""
    first = frame.old[0]
    begins = first in DETERMINERS or bool(classes(first) & NOUNS) or first.endswith("'s")
    return context(frame) if begins else None


def replacement(frame: Frame) -> Meaning | None:
    old = Phrase(frame.old)
    if frame.old[0] == "in" and "in" in frame.new[1:]:
        turn = frame.new.index("in", 1)
        return change(Phrase(frame.new[:turn]), frame.new[turn + 1 :])  # "the balloons in rose instead of in green"
    if len(old.core) == 1 and old.kinds & (LOOKS | {"attribute"}) and not old.kinds & NOUNS:
        return describe(Frame("describe", new=frame.new))  # "a leather bag instead of fabric"
    return change(Phrase(frame.old), frame.new, replacing=True)


def becoming(frame: Frame) -> Meaning | None:
    if "goes" in frame.rule and classes(frame.new[0]) & {"preposition"}:
        return None  # "goes on the market"
    # An article that the construction took along tells a thing from a look: "an orange".
    articled = any(articles in frame.rule for articles in ("(a|an|", "(ein|eine|", "(un|une|"))
    return change(Phrase(frame.old), ("a", *frame.new) if articled else frame.new)


def split_up(frame: Frame) -> Meaning | None:
    """ "make the car blue": the object and its look are side by side."""
    thing, look = split_look(frame.old)
    if (
        not look
        and frame.old
        and frame.old[0] in ("her", "him", "it", "me", "them", "this", "us")
        and len(frame.old) > 1
    ):
        thing, look = frame.old[:1], frame.old[1:]
    if not look:
        who = next((i for i, word in enumerate(frame.old) if classes(word) & (PEOPLE | FACE)), len(frame.old))
        thing, look = frame.old[: who + 1], frame.old[who + 1 :]
        fits = Phrase(look).is_any(PEOPLE) or (Phrase(thing).is_any(FACE) and not Phrase(look).is_any(NOUNS))
        look = look if look and fits and not classes(look[0]) & {"preposition"} else ()
    return change(Phrase(thing), look) if look else None


def within(frame: Frame) -> Meaning | None:
    """ "the sofa in teal", "man in a tuxedo", "me in Tokyo"."""
    old, new = Phrase(frame.old), Phrase(frame.new)
    if new.is_any(BACKGROUND):
        return as_background("sky" if "sky" in new.head else "background", frame.old)
    if new.is_any(FACE) and not old.is_any(GARMENTS | PEOPLE | {"thing", "animal"}):
        return Meaning("appearance", face_place(new, existing=True), new_words(frame.old), 0.85, "It is on a face.")
    if new.is_any(FACE) and (old.is_any(PEOPLE) or old.is_pronoun) and not new.is_any(GARMENTS):
        return as_appearance(new, frame.new)
    if new.is_any(GARMENTS) and not old.is_any(GARMENTS):
        return as_clothes(old, new)
    if (old.is_any(PEOPLE | {"animal"}) or old.is_pronoun) and new.is_any(SCENES | {"background"}):
        return as_background("background", frame.new)
    if look_kind(new.bare) or new.is_any(frozenset({"attribute", "style", "colour", "material"})):
        return change(old, frame.new)
    if (old.is_any(PEOPLE | {"animal"}) or old.is_pronoun) and (new.is_any(SCENES | {"background"})):
        return as_background("background", frame.new)
    if new.is_any(LIGHT):
        return as_light(frame.new)
    if (old.is_any(PEOPLE) or old.is_pronoun) and not new.kinds:
        # Not a word of it known: "grandpa in a deerstalker", "me in Santorini".
        worn = frame.new[0] in ("a", "an", "his", "her", "some")
        return as_clothes(old, new) if worn else as_background("background", frame.new, sure=GUESS)
    if frame.old[0] in _SOME and frame.new[0] in _DEFINITE and (new.kinds & NOUNS or not new.kinds):
        return put(Frame("put", new=frame.old, place=frame.new))  # "a fig in that empty corner"
    return None


def worn(frame: Frame) -> Meaning | None:
    old, new = Phrase(frame.old), Phrase(frame.new)
    if frame.rule.startswith("(dress") and not new.is_any(SCENES):
        return as_clothes(old, new)
    if new.is_any(SCENES | {"background", "whole"}) or (old.is_any(SCENES) and not new.is_any(GARMENTS)):
        return None
    if new.is_any(FACE - {"hair"}) and not new.is_any(GARMENTS):
        return as_appearance(new, frame.new)
    if old.is_any(GARMENTS) and not new.is_any(GARMENTS):
        return change(old, frame.new)
    if not (old.is_any(PEOPLE | FACE | {"body", "animal"} | GARMENTS) or old.is_pronoun or new.is_any(GARMENTS)):
        return None
    if old.kinds & NOUNS and not old.is_any(PEOPLE | FACE | GARMENTS | {"body", "animal"}):
        return None
    look = look_kind(new.bare)
    if (
        look in ("style", "garment_adj", "colour", "material")
        or not new.is_any(NOUNS - GARMENTS)
        or new.is_any(GARMENTS)
    ):
        return as_clothes(old, new)
    return None


def light(frame: Frame) -> Meaning | None:
    """Brighter, darker, lit otherwise: the whole photo, unless a part of it is named that has its own category."""
    thing = Phrase(frame.new if not frame.old else frame.old)
    if thing.is_any(FACE):
        return as_appearance(thing, frame.new)
    if thing.is_any(BACKGROUND):
        return as_background("sky" if "sky" in thing.head else "background", frame.new)
    if thing.kinds & {"thing", "furniture", "vehicle", *GARMENTS} and not thing.has("light"):
        look = "darker" if "darken" in frame.rule and "lighten" not in frame.rule else "lighter"
        return change(thing, (look,))
    words = frame.rule.split()[0].strip("({[") if not thing.has("light", "light_adj") else ""
    return as_light((*frame.new, words) if words.isalpha() else frame.new)


def style(frame: Frame) -> Meaning | None:
    """A place or the whole photo in another style; what else has a "style" or is "redone" goes its own way."""
    old, new = Phrase(frame.old), frame.new
    if not old.core:
        return None
    if not new:
        return as_restyle(old, frame.old) if old.is_any(SCENES | {"whole"}) or old.has("style") else None
    if old.is_any(SCENES | {"whole"}) or old.is_pronoun or old.takes_in_all or not old.kinds:
        if (Phrase(new).is_any(LIGHT) and not Phrase(new).has("style")) or look_kind(Phrase(new).bare) == "light_adj":
            return as_light(new)
        return as_restyle(old, new)
    if old.is_any(PEOPLE) and Phrase(new).is_any(PEOPLE):
        return change(old, new)
    if old.is_any(PEOPLE) and Phrase(new).has("style") and not Phrase(new).is_any(PEOPLE | GARMENTS):
        return Meaning(
            "person",
            target_words(old),
            f"{new_words(new)} {target_words(old)}",
            0.8,
            "Somebody is drawn in another style.",
        )
    return change(old, new) if Phrase(new).has("style") or " style" in frame.rule else None


def appearance(frame: Frame) -> Meaning | None:
    """A verb that is done to a face: "shave", "whiten", "smile"."""
    old = Phrase(frame.old)
    verb = frame.rule
    if old.is_any(frozenset({"damage"})):
        return removal(Frame("remove", old=frame.old))
    if old.is_any(FACE) and not old.kinds & (GARMENTS - {"facewear"}):
        return (
            replace(as_appearance(old, frame.old), target=face_place(old, existing=True))
            if not verb.startswith("shave")
            else Meaning(
                "appearance", face_place(old, existing=True), "clean-shaven face", 0.93, "Shaving changes a face."
            )
        )
    if "(smile" in verb and (old.is_any(PEOPLE) or old.is_pronoun):
        return Meaning("appearance", "face", "smiling face", 0.93, "An expression is a look of a face.")
    if old.is_any(PEOPLE) or old.is_pronoun:
        return Meaning("appearance", "face", new_words(frame.old), 0.7, "It is done to a face.")
    if old.is_any(GARMENTS):
        return Meaning("clothes", target_words(old), new_words(frame.old), 0.75, "The cut of a garment changes.")
    if old.is_any(LIGHT | SCENES | {"whole"}):
        return as_light(frame.old, sure=0.75)
    return None


def done(frame: Frame) -> Meaning | None:
    """A verb that is not known, and its object: something is to go, unless the object is no thing."""
    old, verb = Phrase(frame.old), frame.place
    if len(verb) > 1 or classes(verb[0]) & _NO_VERBS or not old.kinds & NOUNS:
        return None
    if old.is_any(FACE - {"blemish", "tattoo"}):
        return as_appearance(old, (*verb, *frame.old), sure=GUESS)
    if old.is_any(SCENES | WHOLE) or old.takes_in_all:
        return as_restyle(old, (*verb, *frame.old), sure=GUESS)
    found = removal(Frame("remove", old=frame.old))
    return replace(found, confidence=GUESS) if found else None


def moved(frame: Frame) -> Meaning | None:
    """ "whisk the dog off to the Alps", "bolt a spoiler to the lid", "take the boots to burgundy"."""
    old, new = Phrase(frame.old), Phrase(frame.new)
    if (old.is_any(PEOPLE | {"animal"}) or old.is_pronoun) and (new.is_any(SCENES) or not new.kinds):
        return as_background("background", frame.new, sure=0.8)
    if frame.new[0] in _DEFINITE and new.kinds & NOUNS:
        return put(Frame("put", new=frame.old, place=frame.new))
    return change(old, frame.new)


def redressed(frame: Frame) -> Meaning | None:
    """ "get her out of that coat and into a blazer"."""
    garment = Phrase(frame.place)
    return as_clothes(garment, Phrase(frame.new)) if garment.is_any(GARMENTS) else None


MEANINGS = {
    "redress": redressed,
    "move": moved,
    "do": done,
    "remove": removal,
    "replace": replacement,
    "become": becoming,
    "split": split_up,
    "in": within,
    "on": on,
    "wear": worn,
    "put": put,
    "give": give,
    "give_split": give_split,
    "material": material,
    "behind": behind,
    "light": light,
    "style": style,
    "appearance": appearance,
    "describe": describe,
    "context": context,
    "complaint": complaint,
    "statement": statement,
    "state": state,
}


def meaning_of(frame: Frame) -> Meaning | None:
    """What a frame asks for; None where its words don't fit its operation."""
    found = MEANINGS[frame.operation](frame)
    return replace(found, confidence=min(found.confidence, frame.sure)) if found else None
