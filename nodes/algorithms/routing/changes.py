"""Something shall be, or be replaced by, something else: what that means, by what the two are."""

from .looks import look_kind, modifiers
from .meaning import (
    BACKGROUND,
    LIGHT,
    WHOLE,
    Meaning,
    as_appearance,
    as_background,
    as_clothes,
    as_light,
    as_repaint,
    as_restyle,
    face_place,
    new_words,
    repainted,
    target_words,
)
from .noun_phrases import DETERMINERS, FACE, GARMENTS, LOOKS, NOUNS, PEOPLE, PRONOUNS, SCENES, Phrase, classes

Words = tuple[str, ...]

_COUNTED = frozenset({"a", "an", "the", "two", "three", "some", "my", "his", "her", "our", "their", "this", "that"})
_BALD = frozenset({"bald", "balding", "shaved"})


def change(old: Phrase, new: Words, *, replacing: bool = False) -> Meaning | None:
    """``old`` shall be, or be replaced by, ``new``, which is a look or another thing."""
    if not old.core or not Phrase(new).bare:
        return None
    for rule in _CHANGES:
        found = rule(old, new, replacing)
        if found is not None:
            return found
    return None


def look_of(new: Words) -> str:
    """What ``new`` describes, where it only describes: see ``look_kind``."""
    phrase, articled = Phrase(new), bool(new) and new[0] in ("a", "an")
    if articled and phrase.tail and phrase.kinds & NOUNS and not phrase.kinds & LOOKS:
        return ""  # "a throne carved from obsidian"
    with_more = phrase.tail[:1] == ("with",) and len(phrase.core) > 1 and phrase.head != "one"
    core = phrase.core if with_more or (phrase.tail and not articled) else ()
    return look_kind(phrase.bare, articled=articled) or look_kind(core, articled=articled)


def _surface(new: Words) -> str:
    """Of a thing's look: "a shade darker" is a matter of its colour."""
    look = look_of(new)
    return "colour" if look == "light_adj" else look


def _change_what_is_made_of_it(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    """ "swap the canvas on the tote for leather": the tote is to be masked, of which the canvas is the surface."""
    under = Phrase(old.tail[1:]) if old.tail[:1] in (("on",), ("of",)) else None
    if not under or not under.kinds & NOUNS or "material" not in old.kinds or old.kinds & {"thing", "furniture"}:
        return None
    return change(under, new) if look_of(new) in ("colour", "material") else None


def _change_whole(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    if not old.is_any(WHOLE) and not (old.is_pronoun and old.words[0] in ("it", "this", "that")):
        return None
    phrase, look = Phrase(new), look_of(new)
    if phrase.has("place_name") and old.is_pronoun:
        return as_background("background", new, sure=0.85)
    if phrase.is_any(BACKGROUND) and not phrase.is_any(LIGHT):
        return as_background("sky" if "sky" in phrase.head else "background", new)
    if phrase.has("style") and not phrase.is_any(LIGHT):
        return as_restyle(old, new)
    if (
        phrase.is_any(LIGHT)
        or look == "light_adj"
        or (phrase.has("light", "light_adj") and not phrase.is_any(NOUNS - {"whole", "background"} - SCENES))
    ):
        return as_light(new)
    if old.is_pronoun:
        if look in ("colour", "material"):
            return Meaning(look, "object", f"{new_words(new)} object", 0.5, "The wish doesn't name what to change.")
        if phrase.is_any(SCENES):
            return as_restyle(old, new, sure=0.8)
        if phrase.kinds & NOUNS:
            return Meaning("object", "object", new_words(new), 0.5, "The wish doesn't name what to change.")
        return as_light(new, sure=0.4)
    if look == "colour":
        return as_light(new, sure=0.6)
    if look == "other_look":
        return as_light(new, sure=0.5)
    return as_restyle(old, new, sure=0.85 if look or phrase.is_any(NOUNS) else 0.65)


def _change_to_empty(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    """ "make the street empty": what is there goes; the wish doesn't say what that is."""
    if Phrase(new).core != ("empty",) or old.is_any(FACE | PEOPLE):
        return None
    filled_by = "people" if old.is_any(SCENES) else "objects"
    return Meaning("removal", filled_by, f"empty {target_words(old)}", 0.8, "What is there is to go.")


def _change_all(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    """ "the whole porch as a watercolour": in another style, whatever the thing is."""
    thing = old.is_any(GARMENTS | FACE | PEOPLE | {"furniture", "vehicle", "thing"})
    if not old.takes_in_all or thing or replacing or look_of(new) in ("colour", "material", "light_adj"):
        return None
    return None if Phrase(new).is_any(LIGHT) else as_restyle(old, new, sure=0.8)


def _change_light(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    return as_light(new) if old.is_any(LIGHT) and not old.is_any(FACE | GARMENTS | {"furniture"}) else None


def _change_background(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    words = old.words
    seen = (
        next((word for word in words[words.index("behind") + 1 :] if word not in DETERMINERS), "")
        if "behind" in words
        else ""
    )
    nobody = bool(seen) and seen not in PRONOUNS and not classes(seen) & (PEOPLE | {"animal"})
    behind = (
        not (nobody and old.head == "wall")
        and "behind" in words
        and (
            old.head in ("what", "wall", "behind", "area", "view", "scenery", "that", "everything")
            or words[0] in ("what", "what's")
            or (old.is_any(SCENES) and bool(seen) and not nobody)
        )
    )
    if not old.is_any(BACKGROUND) and not behind and not old.head.endswith("_sky"):
        return None
    sky = any("sky" in word or word.startswith(("cloud", "skies", "heaven", "horizon")) for word in old.core)
    look = look_of(new)
    prompt = (*Phrase(new).bare, old.head) if look else new
    return as_background("sky" if sky else "background", prompt, sure=0.95)


def _change_face(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    phrase = Phrase(new)
    if not old.is_any(FACE) or (old.kinds & (GARMENTS | {"thing"}) and not old.kinds & {"hair", "lips"}):
        return None
    if phrase.is_any(GARMENTS) and not phrase.is_any(FACE):
        return as_clothes(old, phrase)
    look = look_of(new)
    prompt = (*phrase.bare, old.head) if look and old.head not in phrase.bare else new
    return Meaning(
        "appearance",
        face_place(old, existing=True),
        new_words(prompt),
        0.95,
        f'"{old.head}" is part of how a person looks.',
    )


def _change_garment(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    if old.is_any(frozenset({"garment_part"})) and _surface(new) not in ("colour", "material"):
        return Meaning("clothes", target_words(old), new_words(new), 0.85, "A garment gets another cut.")
    if not old.is_any(GARMENTS) or (old.kinds & {"thing", "furniture"} and not Phrase(new).is_any(GARMENTS)):
        return None
    phrase, look = Phrase(new), _surface(new)
    same = phrase.head in ("one", old.head)
    cut = replacing and phrase.head == "one" and any(not classes(word) & LOOKS for word in phrase.core[:-1])
    if look in ("colour", "material") and not cut and not (replacing and same and modifiers(phrase) == ""):
        return as_repaint(old, new, look)
    if same and not replacing and modifiers(phrase) in ("colour", "material"):
        return as_repaint(old, new, modifiers(phrase))
    if phrase.is_any(NOUNS - GARMENTS - {"room", "thing"}) and not phrase.is_any(GARMENTS) and not phrase.kinds & LOOKS:
        return Meaning("object", target_words(old), new_words(new), 0.7, "It becomes another thing.")
    prompt = (*phrase.bare, old.head) if look or phrase.head == "one" else new
    prompt = tuple(word for word in prompt if word != "one")
    return Meaning(
        "clothes", target_words(old), new_words(prompt), 0.93, f'"{old.head}" is worn, and another takes its place.'
    )


def _change_person(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    pronoun = old.is_pronoun and old.words[0] not in ("it", "this", "that", "these", "those")
    if (not old.is_any(PEOPLE) or old.kinds & {"thing"}) and not pronoun:
        return None
    phrase, look = Phrase(new), look_of(new)
    name = target_words(old)
    if phrase.is_any(GARMENTS) and not phrase.is_any(PEOPLE) and look != "person_adj":
        return as_clothes(old, phrase)
    if look == "hair_adj" or _BALD & set(phrase.bare):
        place = "head" if _BALD & set(phrase.bare) else "hair"
        return Meaning("appearance", place, new_words(new), 0.92, "The hair is to change.")
    if phrase.is_any(FACE) and not phrase.is_any(PEOPLE):
        return as_appearance(phrase, new)
    if look == "person_adj" or (not phrase.is_any(PEOPLE) and phrase.has("person_adj")):
        return Meaning("appearance", "face", f"{new_words(new)} face", 0.92, "Age and expression are looks of a face.")
    if look == "garment_adj":
        return Meaning("clothes", "clothes", f"{new_words(new)} clothes", 0.8, "It is about what somebody wears.")
    if look == "light_adj":
        return as_light(new, sure=0.6)
    if phrase.is_any(LIGHT) and not phrase.is_any(PEOPLE):
        return as_light(new, sure=0.7)
    if look in ("colour", "material") and not phrase.is_any(PEOPLE):
        return Meaning(look, name, repainted(old, new), 0.7, "Only colour or surface change.")
    if phrase.is_any(SCENES) and not phrase.is_any(PEOPLE):
        return as_background("background", new, sure=0.7)
    thing = phrase.is_any(NOUNS) and not phrase.is_any(PEOPLE | {"animal"})
    thing = thing and phrase.head != "one"
    if replacing and (thing or phrase.is_any(frozenset({"animal"}))) and not phrase.is_any(PEOPLE):
        return Meaning("object", name, new_words(new), 0.85, "A person makes room for another thing.")
    return Meaning(
        "person",
        name,
        new_words(new),
        0.93 if phrase.is_any(PEOPLE) else 0.75,
        f'"{name}" becomes somebody else in the same pose.',
    )


def _change_scene(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    if not old.is_any(SCENES):
        return None
    phrase, look = Phrase(new), look_of(new)
    if look in ("colour", "material") and not phrase.has("style"):
        return as_repaint(old, new, look)
    if look == "light_adj" or phrase.is_any(LIGHT):
        return as_light(new)
    if replacing and phrase.kinds & NOUNS and not old.is_any(frozenset({"room"})) and not phrase.has("style"):
        return Meaning("object", target_words(old), new_words(new), 0.75, "A thing is replaced by another.")
    return as_restyle(old, new)


def _is_agent(word: str) -> bool:
    return len(word) > 4 and word.endswith(("er", "or", "ian", "eer", "ess", "ers", "ors", "ian", "ant"))


def _change_thing(old: Phrase, new: Words, replacing: bool) -> Meaning | None:
    phrase, look = Phrase(new), _surface(new)
    known = 0.93 if old.kinds & NOUNS else 0.8
    exchanged = replacing and new[0] in ("a", "an", "two", "some", "three", "the", "new")
    if look in ("colour", "material") and not (exchanged and phrase.head in ("one", old.head)):
        return as_repaint(old, new, look, sure=known)
    if (
        phrase.head in ("one", old.head)
        and len(phrase.core) > 1
        and modifiers(phrase) in ("colour", "material")
        and not replacing
    ):
        return as_repaint(old, new, modifiers(phrase), sure=known)
    owned = old.words[0] in ("his", "her") and not old.kinds and not phrase.kinds & (NOUNS - GARMENTS)
    if owned and not look:
        return as_clothes(Phrase(("clothes",)), phrase, at=old)
    if phrase.is_any(PEOPLE) and not old.kinds & NOUNS:
        return Meaning("person", target_words(old), new_words(new), 0.8, "It becomes somebody in the same pose.")
    if not old.kinds and not phrase.kinds and _is_agent(old.head) and _is_agent(phrase.head):
        return Meaning("person", target_words(old), new_words(new), 0.6, "Both sound like what somebody does.")
    if phrase.is_any(LIGHT) and not phrase.kinds & {"thing", "furniture"} and new[0] not in ("a", "an"):
        return as_light(new, sure=0.6)
    prompt = tuple(
        old.head if word == "one" and index == len(phrase.bare) - 1 else word for index, word in enumerate(phrase.bare)
    )
    if look:
        prompt = (*(word for word in phrase.bare if word != "one"), *old.core)
        known = min(known, 0.75)
    elif not phrase.kinds and not replacing and new[0] not in _COUNTED and not phrase.head.endswith("s"):
        return as_repaint(old, new, "material", sure=0.6)  # without an article, a stuff: "squid-ink ravioli"
    elif not phrase.kinds & NOUNS:
        known = min(known, 0.87 if new[0] in ("a", "an", "two", "three") or replacing else 0.6)
    return Meaning(
        "object", target_words(old), new_words(prompt), known, f'"{target_words(old)}" becomes another thing.'
    )


_CHANGES = (
    _change_to_empty,
    _change_what_is_made_of_it,
    _change_whole,
    _change_background,
    _change_all,
    _change_face,
    _change_light,
    _change_garment,
    _change_person,
    _change_scene,
    _change_thing,
)
