"""Words that only describe: what kind of look they are of, and where a thing ends and its look begins."""

from .noun_phrases import DETERMINERS, LOOKS, NOUNS, PRONOUNS, Phrase, classes

Words = tuple[str, ...]

_JOINTS = frozenset({"and", "or", ",", "plus"})


def look_kind(words: Words, *, articled: bool = False) -> str:
    """Of words that only describe, what they describe: "colour", "material", ...; "" when they name a thing.

    ``articled``: an article stood before them, so that "an orange" and "a rose" are things.
    """
    words = tuple(word for word in words if word not in (",", "and", "or", "but", "really", "all", "in", "of", "on"))
    if not words:
        return ""
    *before, head = words
    kinds = classes(head)
    if kinds & {"attribute"}:
        return _strongest(before) or _attribute(head)
    if before and classes(words[0]) & {"attribute"} and not kinds & LOOKS:
        return _attribute(words[0])  # "the shade of the card"
    if head in ("one", "finish") and before:
        return _strongest(before)
    thing = kinds & NOUNS
    if articled and thing and not kinds & {"style"}:
        return ""
    if "material" in kinds and thing and not articled and not any(classes(word) & NOUNS for word in before):
        return "material"  # "reclaimed oak"
    if {"material", "colour"} <= kinds and _strongest(before) == "material":
        return "material"  # "hammered copper"
    if not kinds & LOOKS or (thing and before and not all(classes(word) & LOOKS for word in before)):
        return ""
    if kinds & {"degree"} and not kinds & (LOOKS - {"degree"}):
        return _strongest(before) or ("colour" if before or head in ("pale", "paler", "royal") else "light_adj")
    kind = _kind(kinds)
    return (_surface(before) or kind) if kind in ("other_look", "person_adj") else kind


def _surface(words: list[str]) -> str:
    """ "rusty and old": colour or material, where one is among other looks."""
    kind = _strongest([word for word in words if classes(word) & {"colour", "material"}])
    return kind if kind in ("colour", "material") else ""


def _attribute(word: str) -> str:
    """What a bare "colour" or "texture" stands for; "look" and "kind" say nothing."""
    if word in ("colour", "color", "colours", "colors", "shade", "tone", "tint", "hue", "paint"):
        return "colour"
    return (
        "material"
        if word
        in (
            "texture",
            "pattern",
            "material",
            "fabric",
            "print",
            "finish",
            "surface",
            "motif",
            "glaze",
            "stripe",
            "coating",
            "covering",
            "upholstery",
        )
        else ""
    )


def _kind(kinds: frozenset[str]) -> str:
    for name in (
        "colour",
        "colour_general",
        "material",
        "light_adj",
        "style",
        "person_adj",
        "hair_adj",
        "garment_adj",
        "other_look",
    ):
        if name in kinds:
            return "colour" if name == "colour_general" else name
    return ""


def _strongest(words: list[str]) -> str:
    """The kind that the last describing word before a head gives it; "dark" says little beside "wooden"."""
    kinds = [kind for kind in (_kind(classes(word) & LOOKS) for word in reversed(words)) if kind]
    return next((kind for kind in kinds if kind != "light_adj"), kinds[0] if kinds else "")


def modifiers(phrase: Phrase) -> str:
    """The kind of the words before the head of a noun phrase: "" when they are none or unknown."""
    return _strongest(list(phrase.core[:-1]))


def split_look(words: Words) -> tuple[Words, Words]:
    """ "car bright red" -> "car", "bright red": the longest end made of looks. An unknown last word is a look too."""
    split = len(words)
    while split > 1 and _is_look(words[split - 1]):
        split -= 1
    while split < len(words) - 1 and words[split] in (*_JOINTS, "in", "with", "all"):
        split += 1
    if split < len(words) and words[split - 1] in _JOINTS:
        split = len(words)
    if split == len(words) and len(words) > 1 and not classes(words[-1]) & NOUNS:
        split -= 1
        while split > 1 and classes(words[split - 1]) & {"degree"}:
            split -= 1
    while (
        split < len(words)
        and split > 1
        and not classes(words[split - 1])
        and any(classes(word) & NOUNS for word in words[: split - 1])
    ):
        split -= 1
    thing = words[:split]
    while len(thing) > 1 and (
        thing[-1] in ("look", "appear", "into", "to", "in", "be", "as", "a", "an", "like") or thing[-1] in _JOINTS
    ):
        thing = thing[:-1]
    if all(word in DETERMINERS for word in thing) and not (len(thing) == 1 and thing[0] in PRONOUNS):
        # "the sky pink": what looks like a look is the thing itself.
        split += 1
        thing = words[:split]
        return (thing, words[split:]) if split < len(words) and classes(thing[-1]) & NOUNS else (words, ())
    return thing, words[split:]


def _is_look(word: str) -> bool:
    return bool(classes(word) & (LOOKS | {"attribute"})) or word in ("and", "with", "in", "all", "look", "an", "a")
