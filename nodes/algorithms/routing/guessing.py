"""What a wish most likely asks for when no construction fits it: by the kinds of its words alone."""

from .grammar import Grammar
from .meaning import (
    BACKGROUND,
    EMPTY_BACKGROUND,
    LIGHT,
    WHOLE,
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
from .text import LONGEST_CLAUSE, sentences

Words = tuple[str, ...]

#: The most confidence of an edit that no construction stands for.
NO_RULE = 0.3
_UNSURE = 0.25  # where nothing of it is known
_GOES = frozenset(
    ["remove", "delete", "erase", "gone", "rid", "retouch", "vanish", "disappear", "bye", "hide", "unwanted", "away"]
    + ["off", "goes", "begone", "shouldn't", "annoying", "unsightly", "ruin", "ruined", "spoil", "spoiling", "clutter"]
    + [
        "business",
        "invisible",
        "hidden",
        "unnecessary",
        "out",
        "weren't",
        "wasn't",
        "photobomb",
        "eyesore",
        "distracting",
        "spoils",
        "ruins",
        "kill",
        "lose",
        "without",
    ]
)
_BEHIND = frozenset({"behind", "backdrop", "background", "beyond", "location", "skyline"})
_TURNS = frozenset({"become", "becomes", "as", "into", "turn", "turned", "transform", "like"})
_WORN = frozenset({"wear", "wearing", "try", "suit", "suits", "dress", "put", "outfit", "dressed", "rock", "on", "in"})


def guess(text: str, grammar: Grammar) -> Meaning | None:
    """The meaning of a normalised text, at most ``NO_RULE`` sure; None where it has no word that is known."""
    words = _words(text, grammar)
    heads = noun_phrases_of(words)
    if not heads:
        return None
    for rule in _GUESSES:
        found = rule(frozenset(words), heads, words)
        if found:
            return found
    return None


def thing_named(text: str, grammar: Grammar) -> str:
    """What a normalised text is most likely about, as a target; empty where it names no thing that is known."""
    heads = [phrase for phrase in noun_phrases_of(_words(text, grammar)) if phrase.kinds & NOUNS]
    return target_words(main_thing(heads)) if heads else ""


def _words(text: str, grammar: Grammar) -> Words:
    """The words of a text in English, of a long one the beginning."""
    words: list[str] = []
    for sentence in sentences(text):
        found = tuple(grammar.words(sentence))
        words += found if grammar.language == "en" else grammar.translate(found)
        if len(words) > LONGEST_CLAUSE:
            break
    return tuple(words[:LONGEST_CLAUSE])


def noun_phrases_of(words: Words) -> list[Phrase]:
    """The noun phrases of a text, known or after an article or before a look."""
    found, start = [], 0
    for index, word in enumerate(words):
        following = classes(words[index + 1]) if index + 1 < len(words) else frozenset()
        kinds = classes(word)
        if word in DETERMINERS:
            start = index
        elif kinds & NOUNS and not following & NOUNS:
            found.append(Phrase(words[start : index + 1]))
            start = index + 1
        elif not kinds and word.isalpha() and not following & NOUNS and (_named(words, index) or following & LOOKS):
            found.append(Phrase((word,)))
            start = index + 1
        elif not kinds & LOOKS and kinds:
            start = index + 1
    return [phrase for phrase in found if phrase.core]


def _named(words: Words, index: int) -> bool:
    return index > 0 and (words[index - 1] in DETERMINERS or bool(classes(words[index - 1]) & LOOKS))


def first_of(heads: list[Phrase], kinds: frozenset[str], *, but: frozenset[str] = frozenset()) -> Phrase | None:
    return next((phrase for phrase in heads if phrase.kinds & kinds and not phrase.kinds & but), None)


def main_thing(heads: list[Phrase]) -> Phrase:
    """What a wish is about: a thing before people, before what is only a look."""
    plain = [phrase for phrase in heads if not phrase.kinds & (LIGHT | WHOLE)] or heads
    things = [phrase for phrase in plain if not phrase.kinds & (PEOPLE | LOOKS | SCENES | {"reference"})]
    return (things or [phrase for phrase in plain if not phrase.kinds & LOOKS] or plain)[0]


def _guess_background(words: frozenset[str], heads: list[Phrase], all_words: Words) -> Meaning | None:
    sky = first_of(heads, BACKGROUND)
    if not sky and not words & _BEHIND:
        return None
    target = "sky" if sky and "sky" in sky.head else "background"
    return as_background(target, all_words, sure=NO_RULE)


def _guess_removal(words: frozenset[str], heads: list[Phrase], all_words: Words) -> Meaning | None:
    if not words & _GOES:
        return None
    name = target_words(main_thing(heads))
    return Meaning("removal", name, EMPTY_BACKGROUND, NO_RULE, f'"{name}" seems to be unwanted.')


def _guess_on_a_person(words: frozenset[str], heads: list[Phrase], all_words: Words) -> Meaning | None:
    feature = first_of(heads, FACE, but=frozenset({"thing"}))
    garment = first_of(heads, GARMENTS)
    if feature and not (garment and words & _WORN):
        return as_appearance(feature, all_words, sure=NO_RULE)
    colour = any(classes(word) & {"colour"} for word in words)
    if garment and not colour and (words & _WORN or first_of(heads, PEOPLE)):
        return Meaning("clothes", worn_place(garment), new_words(garment.words), NO_RULE, "A garment is named.")
    return None


def _guess_person(words: frozenset[str], heads: list[Phrase], all_words: Words) -> Meaning | None:
    people = [phrase for phrase in heads if phrase.kinds & PEOPLE]
    role = first_of(heads, frozenset({"role"}))
    if role and words & _TURNS and len(people) > 1:
        name = target_words(people[0])
        return Meaning("person", name, new_words(role.words), NO_RULE, "Somebody may become somebody else.")
    return None


def _guess_whole(words: frozenset[str], heads: list[Phrase], all_words: Words) -> Meaning | None:
    styled = any(classes(word) & {"style"} for word in words)
    if styled and (first_of(heads, SCENES | WHOLE) or not first_of(heads, NOUNS - SCENES - WHOLE - {"light"})):
        return as_restyle(Phrase(()), all_words, sure=NO_RULE)
    things = [phrase for phrase in heads if not phrase.kinds & (LIGHT | WHOLE | SCENES | {"light_adj"})]
    if (not things or first_of(heads, WHOLE)) and any(classes(word) & {"light", "light_adj"} for word in words):
        return as_light(all_words, sure=NO_RULE)
    if first_of(heads, SCENES) and not things and words & _TURNS:
        return as_restyle(Phrase(()), all_words, sure=NO_RULE)
    return None


def _guess_surface(words: frozenset[str], heads: list[Phrase], all_words: Words) -> Meaning | None:
    thing = main_thing(heads)
    kinds = frozenset().union(*(classes(word) for word in words - set(thing.core)))
    if not kinds & {"material", "colour"}:
        return None
    kind = "colour" if kinds & {"colour"} else "material"
    return Meaning(kind, target_words(thing), new_words(all_words), NO_RULE, "A look is named, and a thing.")


def _guess_object(words: frozenset[str], heads: list[Phrase], all_words: Words) -> Meaning | None:
    things = [phrase for phrase in heads if not phrase.kinds & (PEOPLE | LIGHT | WHOLE | LOOKS)]
    if not things:
        return None
    definite = [phrase for phrase in things if phrase.words[0] in DETERMINERS - {"a", "an", "another"}]
    name = target_words((definite or things)[0])
    if len(things) > 1:
        return Meaning("object", name, new_words(all_words), NO_RULE, "Two things are named.")
    return Meaning("colour", name, new_words(all_words), _UNSURE, "A thing is named, and no change.")


_GUESSES = (
    _guess_background,
    _guess_removal,
    _guess_on_a_person,
    _guess_person,
    _guess_whole,
    _guess_surface,
    _guess_object,
)
