"""Something goes somewhere, onto something or behind it: what that means, by what the two are."""

from .changes import change
from .looks import look_kind, modifiers
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
    as_repaint,
    as_restyle,
    new_words,
    target_words,
)
from .noun_phrases import FACE, GARMENTS, NOUNS, PEOPLE, SCENES, Phrase, classes
from .patterns import Frame

_IN_THE_SKY = frozenset({"clouds", "cloud", "stars", "aurora", "northern_lights", "rainbow", "horizon"})
_EVERYBODY = frozenset({"everyone", "everybody", "all", "both", "them", "us"})
_PATTERN_NOUNS = frozenset({"material", "attribute"})


def put(frame: Frame) -> Meaning | None:
    """``new`` goes to ``place``: worn, painted on, behind, or standing there."""
    new, place = Phrase(frame.new), Phrase(frame.place)
    if not new.head or (new.is_pronoun and not place.core):
        return None
    for rule in _PLACINGS:
        found = rule(new, place)
        if found is not None:
            return found
    return None


def _before_a_background(new: Phrase, place: Phrase) -> Meaning | None:
    """Into the sky; or the photo's own subject to another place."""
    if place.is_any(BACKGROUND):
        return as_background(_sky_or_background(place), new.words)
    somewhere = place.is_any(SCENES - {"room"}) or place.words[:1] in (("a",), ("an",))
    definite = new.words[0] in ("the", "my", "our", "this", "these") and new.kinds & NOUNS and somewhere
    moved = definite and not place.is_any(PEOPLE | GARMENTS | {"body"})
    if moved or (_is_subject(new) and (place.is_any(SCENES) or _is_stage(new, place))):
        return as_background("background", place.words, sure=0.85)
    return None


def _into_a_garment(new: Phrase, place: Phrase) -> Meaning | None:
    """ "put the couple in matching suits": who is put there wears them."""
    somebody = new.is_pronoun or new.is_any(PEOPLE) or new.words[0] in _EVERYBODY
    return as_clothes(new, place) if somebody and place.is_any(GARMENTS) and not new.is_any(GARMENTS | FACE) else None


def _on_a_body(new: Phrase, place: Phrase) -> Meaning | None:
    if new.is_any(frozenset({"garment_part"})) and place.is_any(GARMENTS | PEOPLE):
        return as_clothes(place, new)
    is_thing = bool(new.kinds & {"thing", "furniture"})
    if new.is_any(GARMENTS) and (_wears(place) or (not place.kinds and not is_thing)):
        return as_clothes(place, new)
    if new.is_any(FACE) and (not place.core or place.is_any(PEOPLE | FACE | {"body"}) or place.is_pronoun):
        return as_appearance(new, new.words)
    return None


def _over_all(new: Phrase, place: Phrase) -> Meaning | None:
    """Light, weather, a style, a sky."""
    everywhere = place.is_any(WHOLE) or place.words[:1] in (("everything",), ("all",)) or place.is_pronoun
    if everywhere and new.has("light") and not new.is_any(PEOPLE | GARMENTS):
        return as_light(new.words)
    if place.is_any(LIGHT) and (new.is_any(WHOLE) or new.is_pronoun):
        return as_light(place.words)
    if place.is_any(SCENES) and new.has("style") and not new.is_any(PEOPLE):
        return as_restyle(place, new.words)
    if new.is_any(LIGHT) and not new.kinds & {"thing", "furniture"}:
        return as_light(new.words)
    return as_background(_sky_or_background(new), new.words) if new.is_any(BACKGROUND) else None


def _over_a_surface(new: Phrase, place: Phrase) -> Meaning | None:
    if place.core and (
        {look_kind(new.bare), look_kind(new.core)} & {"material", "colour"} or new.is_any(_PATTERN_NOUNS)
    ):
        return change(place, new.words)
    if place.is_any(GARMENTS) and not new.kinds & NOUNS:
        return change(place, new.words)
    if not place.core and new.is_any(frozenset({"furniture"})) and modifiers(new) == "material":
        target = target_words(Phrase((new.head,)))
        return Meaning("material", target, new_words(new.words), GUESS, "A surface gets another material.")
    return None


def _stuff(new: Phrase) -> tuple[str, ...]:
    """ "a lick of sage", "a coat of lime plaster": what goes over the whole surface; empty for a thing."""
    stuff = new.tail[1:] if new.tail[:1] == ("of",) else ()
    some = not new.kinds & NOUNS or new.head == "coat"
    return stuff if some and look_kind(stuff) in ("colour", "material") else ()


def _there(new: Phrase, place: Phrase) -> Meaning | None:
    """A thing is added. Where the wish names no place, it is guessed."""
    name = new_words(new.words)
    somebody = place.is_any(PEOPLE) or place.is_pronoun
    if place.core and _stuff(new):
        return change(place, _stuff(new))
    if place.core and somebody and not new.kinds & NOUNS:
        return as_clothes(place, new)
    if place.core:
        where = "face" if place.is_pronoun else target_words(place)
        return Meaning("object", where, f"{name} on {target_words(place)}", 0.9, f'"{name}" is added there.')
    if new.kinds & NOUNS:
        where = "ground" if new.is_any(PEOPLE | {"animal", "vehicle"}) else "table"
        return Meaning("object", where, name, 0.5, "The wish doesn't say where.")
    return None


_PLACINGS = (_into_a_garment, _before_a_background, _on_a_body, _over_all, _over_a_surface, _there)


def _sky_or_background(phrase: Phrase) -> str:
    sky = "sky" in " ".join(phrase.core) or phrase.head in _IN_THE_SKY
    return "sky" if sky else "background"


def on(frame: Frame) -> Meaning | None:
    """Without a verb, "<new> on <place>" counts where the place is a thing one knows: not "on Friday"."""
    place, new = Phrase(frame.place), Phrase(frame.new)
    if new.is_any(frozenset({"damage"})) and place.kinds & NOUNS:
        return Meaning("removal", target_words(new), EMPTY_BACKGROUND, 0.7, "Nobody wants it there.")
    return put(frame) if place.kinds & NOUNS or place.is_pronoun else None


def _is_subject(new: Phrase) -> bool:
    """The photo's own subject: somebody, "it", or "the bottle"; "a vase" is something new."""
    return new.is_pronoun or (
        new.words[0] not in ("a", "an", "some", "two", "three", "more") and new.is_any(PEOPLE | {"animal"})
    )


def _is_stage(new: Phrase, place: Phrase) -> bool:
    return new.is_pronoun and not place.is_any(PEOPLE | GARMENTS | {"body"})


def _wears(place: Phrase) -> bool:
    return place.is_pronoun or place.is_any(PEOPLE | FACE | GARMENTS | {"body", "animal"})


def give(frame: Frame) -> Meaning | None:
    """``place`` (somebody, something) gets ``new``."""
    new, place = Phrase(frame.new), Phrase(frame.place)
    if new.core == ("one",):
        return None  # "the kids' page needs one": why, not what
    if new.is_any(BACKGROUND):
        return as_background(_sky_or_background(new), new.words)
    whole = place.is_any(WHOLE) or place.words[:1] in (("it",), ("this",))
    if place.is_any(FACE) and not new.is_any(GARMENTS):
        return as_appearance(place, (*new.bare, place.head))
    if place.is_any(SCENES) and new.has("style"):
        return as_restyle(place, frame.new)
    if place.is_any(SCENES) or whole:
        if new.is_any(LIGHT) or new.has("light_adj"):
            return as_light(frame.new)
        if new.has("style"):
            return as_restyle(place, frame.new)
        if whole and not new.kinds & NOUNS:
            return as_light(frame.new, sure=GUESS)
    if place.core and _stuff(new):
        return change(place, _stuff(new))
    if new.is_any(frozenset({"attribute"})) or look_kind(new.bare) in ("material", "colour"):
        return change(place, frame.new)
    return put(frame)


def give_split(frame: Frame) -> Meaning | None:
    """ "give the chair velvet upholstery": the two nouns are side by side."""
    words = frame.place
    for index in range(1, len(words)):
        if classes(words[index - 1]) & NOUNS and words[index] not in ("of", "in", "on", "with"):
            return give(Frame("give", new=words[index:], place=words[:index]))
    return None


def material(frame: Frame) -> Meaning | None:
    """``new``, a surface, goes over ``old``; or a garment, a place, a thing that isn't one."""
    old, new = Phrase(frame.old), Phrase(frame.new)
    if new.is_any(GARMENTS | FACE) and not old.is_any(GARMENTS):
        return put(Frame("put", new=frame.new, place=frame.old))
    if old.is_any(FACE | PEOPLE | {"whole", "background"} | SCENES) and not new.has("material"):
        found = change(old, frame.new)
        if found:
            return found
    if not old.head:
        return None
    if new.kinds & {"thing", "animal"} and not new.has("material", "attribute", "colour"):
        return Meaning(
            "object",
            target_words(old),
            f"{target_words(old)} with {new_words(frame.new)}",
            0.8,
            "Things are added there.",
        )
    colour = new.has("colour") or bool({"colour", "color", "shade", "hue", "tone"} & set(new.bare))
    kind = "colour" if colour and not new.has("material") and new.head not in ("fabric", "material") else "material"
    return as_repaint(old, frame.new, kind, sure=0.92)


def behind(frame: Frame) -> Meaning | None:
    """``new`` is, or shall be, behind ``old``."""
    old, new = Phrase(frame.old), Phrase(frame.new)
    if not new.head or (old.core and old.is_any(LIGHT)):
        return None
    sky = (
        new.head in ("sky", "clouds", "stars", "aurora", "northern_lights", "rainbow")
        or "sky" in new.head
        or "sky" in old.core
    )
    return as_background("sky" if sky else "background", frame.new)
