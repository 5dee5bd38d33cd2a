"""One clause read by a grammar: what says nothing is taken off, then the first construction that fits is taken."""

from dataclasses import replace

from .antecedents import Antecedents, Reading
from .asides import INSTEAD, LEADING_VERBS, OPENING_INSTEAD, without_purpose, without_reference
from .changes import change
from .clauses import Clause
from .english import clause_words
from .grammar import Grammar
from .looks import look_kind, split_look
from .meaning import GUESS, as_light
from .noun_phrases import GARMENTS, NOUNS, Phrase, classes
from .operations import meaning_of
from .patterns import Frame, line_of

Words = tuple[str, ...]

_ARTICLES = frozenset({"le", "la", "les", "el", "los", "las", "der", "die", "das", "den", "dem", "des"})
_FINITE = frozenset({"is", "are", "was", "were", "looks", "has", "should", "must", "needs"})


def read(clause: Clause, grammar: Grammar, antecedents: Antecedents) -> list[Reading]:
    """The edits of one clause, most often one; none when it says nothing that can be done."""
    line = stripped(line_of(clause_words(clause.words)), grammar)
    if not line:
        return []
    found = _read_line(line, grammar, antecedents)
    if not found:
        found = antecedents.described(tuple(line.split()))
    if clause.extra and (not found or found[0].meaning.confidence < GUESS):
        thing = found[0].frame.old if found and found[0].frame.old else tuple(line.split())
        found = _with_extra(thing, clause.extra) or found
    both = _two_edits(line, found, grammar, antecedents)
    return both or found


def _with_extra(words: Words, extra: Words) -> list[Reading]:
    """ "plate, rough stoneware glaze": a thing, and after the comma its look."""
    thing, look = Phrase(words), extra[1:]
    meaning = change(thing, look) if (thing.kinds & NOUNS or not thing.kinds) and look_kind(look) else None
    frame = Frame("become", old=thing.words, new=look, rule="<old> , <new>", sure=0.8)
    return [Reading(frame, replace(meaning, confidence=0.8), thing.words)] if meaning else []


def stripped(line: str, grammar: Grammar) -> str:
    """The line without politeness at both ends and without purposes at its end."""
    for _ in range(4):
        before = line
        opener = grammar.openers.match(line)
        if opener:
            line = line[opener.end() :]
        closer = grammar.closers.search(line)
        if closer and closer.start():
            line = line[: closer.start()]
        if grammar.language == "en":
            line = without_purpose(line)
        line = line_of(clause_words(tuple(line.split())))
        if line == before:
            break
    return line


def _read_line(line: str, grammar: Grammar, antecedents: Antecedents) -> list[Reading]:
    plain = without_reference(line) if grammar.language == "en" else line
    found = _instead(plain, grammar, antecedents) if grammar.language == "en" else None
    if found is None:
        found = _first_rule(plain, grammar, antecedents)
    if found is None and plain != line:
        found = _first_rule(line, grammar, antecedents)
    return [found] if found else []


def _first_rule(line: str, grammar: Grammar, antecedents: Antecedents) -> Reading | None:
    words = frozenset(line.split())
    for rule in grammar.rules:
        frame = rule.match(line) if rule.may_fit(words) else None
        if frame is None:
            continue
        if frame.operation in ("suggest", "exchange"):
            suggested = _suggested(frame, grammar, antecedents)
            if suggested:
                return suggested
            continue
        if frame.old[:1] and frame.old[0] in _FINITE:
            continue  # "wrap is too glossy": the verb of the construction is the subject here
        named = translated(frame, grammar)
        frame = antecedents.resolved(named)
        meaning = meaning_of(frame)
        if meaning is not None:
            meaning = antecedents.worn_before(meaning)
            meaning = replace(meaning, confidence=meaning.confidence * grammar.trust)
            refers = frame.old != named.old and Phrase(named.old).words[0] in ("it", "them", "that", "this")
            return Reading(frame, meaning, tuple(line.split()), refers=refers)
    return None


def _suggested(frame: Frame, grammar: Grammar, antecedents: Antecedents) -> Reading | None:
    """ "satin would be nice", "a round one there": in the place of what was complained about, or for itself."""
    line = line_of(frame.new)
    new = tuple(LEADING_VERBS.sub("", line, count=1).split()) if LEADING_VERBS.match(line) else frame.new
    exchanged = None if new[-1:] in (("of",), ("from",), ("in",)) else antecedents.exchanged(new)
    if frame.operation == "exchange":
        return exchanged
    alone = _first_rule(line, grammar, antecedents)
    if alone and alone.frame.operation not in ("describe", "context") and alone.meaning.confidence > GUESS:
        return alone
    return exchanged or alone


def translated(frame: Frame, grammar: Grammar) -> Frame:
    """The frame with English words."""
    if grammar.language == "en":
        return frame
    turn, ordered = grammar.translate, frame.operation not in ("split", "give_split")
    implied = frozenset({"it", "person", "snow", "rain"})
    parts = (
        part if part and set(part) <= implied else turn(part, ordered=ordered)
        for part in (frame.old, frame.new, frame.place)
    )
    old, new, place = (_without_article(part) for part in parts)
    return replace(frame, old=old, new=new, place=place)


def _without_article(words: Words) -> Words:
    """A word that has no translation keeps its article: "le serveur"."""
    return words[1:] if len(words) > 1 and words[0] in _ARTICLES else words


def _instead(line: str, grammar: Grammar, antecedents: Antecedents) -> Reading | None:
    """ "a bench instead of the sofa", "instead of the sofa put a bench"."""
    opening = OPENING_INSTEAD.match(line)
    if opening:
        old, rest = opening[1], stripped(line[opening.end() :], grammar)
    else:
        found = INSTEAD.search(line)
        if not found or not found.start():
            return None
        rest, old = line[: found.start()] + " ", line[found.end() :]
        rest = stripped(rest.strip() + " ", grammar)
    old_words = tuple(word for word in old.split() if word != ",")
    old_phrase = Phrase(old_words)
    if not rest.strip() or not old_phrase.core:
        return None
    articled = old_words[0] in ("the", "a", "an", "my") and bool(old_phrase.kinds & NOUNS)
    reading = _first_rule(rest, grammar, antecedents)
    plain = LEADING_VERBS.sub("", rest, count=1)
    is_look = (look_kind(old_phrase.bare) and not articled) or old_phrase.head == "one"
    if reading and (is_look or _same_thing(old_phrase, reading)):
        if reading.meaning.confidence < GUESS and plain.strip():
            reading = _first_rule(plain, grammar, antecedents)
        if reading and reading.meaning.confidence >= GUESS:
            return reading
    if old_phrase.head == "one":
        old_words = Phrase(tuple(plain.split())).core[-1:] or old_words
    return _replaced(reading, rest, old_words, antecedents)


def _same_thing(old: Phrase, reading: Reading) -> bool:
    """ "a red sofa instead of the blue sofa" is no replacement; another garment of the same name is one."""
    heads = (Phrase(reading.frame.new).head, Phrase(reading.frame.old).head)
    return old.head in heads and reading.meaning.category != "clothes"


def _replaced(reading: Reading | None, rest: str, old: Words, antecedents: Antecedents) -> Reading | None:
    phrase = Phrase(old)
    if look_kind(phrase.bare) == "light_adj" and not phrase.kinds & (NOUNS - {"light"}):
        meaning = as_light(tuple(LEADING_VERBS.sub("", rest, count=1).split()) or tuple(rest.split()), sure=0.8)
        return Reading(Frame("light", new=tuple(rest.split()), rule="<new> instead of <old>"), meaning, old)
    if (
        reading
        and reading.meaning.category in ("clothes", "appearance", "background", "light", "restyle")
        and not phrase.is_any(frozenset({"background"}))
    ):
        same = phrase.is_any(GARMENTS) and reading.meaning.category == "clothes"
        if same:
            target = " ".join(word for word in phrase.core).replace("_", " ")
            return replace(reading, meaning=replace(reading.meaning, target=target))
        if not (phrase.kinds & NOUNS) or reading.meaning.category != "restyle":
            return reading
    new = LEADING_VERBS.sub("", rest, count=1) if LEADING_VERBS.match(rest) else rest
    words = tuple(new.split())
    for index in range(len(words) - 1, 0, -1):
        if words[index] in ("a", "an") and len(words) - index > 1 and reading and reading.frame.operation in ("split",):
            words = words[index:]
            break
    frame = antecedents.resolved(Frame("replace", old=old, new=words, rule="<new> instead of <old>"))
    meaning = change(Phrase(frame.old), frame.new, replacing=True)
    return Reading(frame, meaning, tuple(rest.split())) if meaning else None


def _two_edits(line: str, found: list[Reading], grammar: Grammar, antecedents: Antecedents) -> list[Reading]:
    """ "make the sky pink and the car black": what follows "and" is a thing with its own look."""
    if (
        grammar.language != "en"
        or " and " not in line
        or (
            found
            and found[0].frame.operation not in ("split", "become", "describe", "in", "material", "put", "replace")
        )
    ):
        return []
    words = line.split()
    for index in range(len(words) - 2, 1, -1):
        if words[index] != "and" or words[index + 1] not in ("the", "her", "his", "my", "our", "their", "its", "a"):
            continue
        right = tuple(words[index + 1 :])
        other = _where_rule(right, grammar, antecedents)
        if other:
            left = _read_line(line_of(words[:index]), grammar, antecedents)
            if left:
                return [*left, other]
        thing, look = split_look(right)
        if (
            not look
            or not classes(thing[-1]) & NOUNS
            or not look_kind(look)
            or not (_makes(words[0]) or (found and found[0].frame.operation == "become"))
        ):
            continue
        left = _read_line(line_of(words[:index]), grammar, antecedents)
        second = _first_rule(line_of(("make", *right)), grammar, antecedents)
        if left and second and left[0].frame.operation != "describe":
            return [*left, second]
    return []


def _where_rule(words: Words, grammar: Grammar, antecedents: Antecedents) -> Reading | None:
    """ "a plant where the radiator is", "the shutters should be blue", after "and"."""
    if not {"where", "should", "gone", "removed"} & set(words):
        return None
    found = _first_rule(line_of(words), grammar, antecedents)
    return found if found and found.frame.operation in ("replace", "become", "remove", "wear") else None


def _makes(word: str) -> bool:
    return word in ("make", "paint", "turn", "dye", "colour", "color", "want", "change")
