"""One clause read by a grammar: what says nothing is taken off, then the first construction that fits is taken."""

from dataclasses import dataclass, replace

from .asides import INSTEAD, LEADING_VERBS, OPENING_INSTEAD, without_purpose, without_reference
from .changes import change
from .clauses import Clause
from .english import clause_words
from .grammar import Grammar
from .meaning import GUESS, Meaning
from .noun_phrases import DETERMINERS, GARMENTS, NOUNS, PRONOUNS, Phrase, classes, look_kind, split_look
from .operations import meaning_of
from .patterns import Frame, line_of

Words = tuple[str, ...]


@dataclass(frozen=True)
class Reading:
    """A frame and what it means. ``words`` are the clause's, without openers."""

    frame: Frame
    meaning: Meaning
    words: Words
    sentence: int = 0


def read(clause: Clause, grammar: Grammar, antecedents: "Antecedents") -> list[Reading]:
    """The edits of one clause, most often one; none when it says nothing that can be done."""
    line = stripped(line_of(clause_words(clause.words)), grammar)
    if not line:
        return []
    found = _read_line(line, grammar, antecedents)
    if not found:
        found = antecedents.described(tuple(line.split()))
    if clause.extra and (not found or found[0].meaning.confidence < GUESS):
        found = _with_extra(line, clause.extra) or found
    both = _two_edits(line, found, grammar, antecedents)
    return both or found


def _with_extra(line: str, extra: Words) -> list[Reading]:
    """ "plate, rough stoneware glaze": a thing, and after the comma its look."""
    thing, look = Phrase(tuple(line.split())), extra[1:]
    meaning = change(thing, look) if thing.kinds & NOUNS and look_kind(look) else None
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


def _read_line(line: str, grammar: Grammar, antecedents: "Antecedents") -> list[Reading]:
    plain = without_reference(line) if grammar.language == "en" else line
    found = _instead(plain, grammar, antecedents) if grammar.language == "en" else None
    if found is None:
        found = _first_rule(plain, grammar, antecedents)
    if found is None and plain != line:
        found = _first_rule(line, grammar, antecedents)
    return [found] if found else []


def _first_rule(line: str, grammar: Grammar, antecedents: "Antecedents") -> Reading | None:
    for rule in grammar.rules:
        frame = rule.match(line)
        if frame is None:
            continue
        frame = antecedents.resolved(translated(frame, grammar))
        meaning = meaning_of(frame)
        if meaning is not None:
            meaning = replace(meaning, confidence=meaning.confidence * grammar.trust)
            return Reading(frame, meaning, tuple(line.split()))
        if frame.operation == "context":
            return None
    return None


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
    old, new, place = parts
    return replace(frame, old=old, new=new, place=place)


def _instead(line: str, grammar: Grammar, antecedents: "Antecedents") -> Reading | None:
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


def _replaced(reading: Reading | None, rest: str, old: Words, antecedents: "Antecedents") -> Reading | None:
    phrase = Phrase(old)
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


def _two_edits(line: str, found: list[Reading], grammar: Grammar, antecedents: "Antecedents") -> list[Reading]:
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
        if not look or not classes(thing[-1]) & NOUNS or not look_kind(look) or not _makes(words[0]):
            continue
        left = _read_line(line_of(words[:index]), grammar, antecedents)
        second = _first_rule(line_of(("make", *right)), grammar, antecedents)
        if left and second and left[0].frame.operation != "describe":
            return [*left, second]
    return []


def _where_rule(words: Words, grammar: Grammar, antecedents: "Antecedents") -> Reading | None:
    """ "a plant where the radiator is", "the shutters should be blue", after "and"."""
    if not {"where", "should", "gone", "removed"} & set(words):
        return None
    found = _first_rule(line_of(words), grammar, antecedents)
    return found if found and found.frame.operation in ("replace", "become", "remove", "wear") else None


def _makes(word: str) -> bool:
    return word in ("make", "paint", "turn", "dye", "colour", "color", "want", "change")


class Antecedents:
    """What was named so far, for "it", "her" and "them"."""

    _DEFAULTS = {
        "her": "woman",
        "she": "woman",
        "hers": "woman",
        "him": "man",
        "he": "man",
        "them": "people",
        "they": "people",
        "me": "person",
        "i": "person",
        "us": "people",
        "we": "people",
        "himself": "man",
        "herself": "woman",
        "you": "person",
        "myself": "person",
        "someone": "person",
    }

    def __init__(self) -> None:
        self._people: list[str] = []
        self._things: list[str] = []

    def note(self, words: Words) -> None:
        """Remember the nouns of a clause; the first thing in it is what "it" means next."""
        things, people, bare = [], [], []
        for index, word in enumerate(words):
            kinds = classes(word)
            if not kinds & NOUNS or word in PRONOUNS or kinds & {"whole"}:
                continue
            if index + 1 < len(words) and classes(words[index + 1]) & NOUNS and not kinds & {"person"}:
                continue  # "fishing boat": the head comes later
            if kinds & {"person", "role"}:
                people.append(word)
            elif not kinds & {"light", "place_name"}:
                named = any(
                    before in DETERMINERS or before in ("whose", "there's", "is", "are", "no")
                    for before in words[max(0, index - 3) : index]
                )
                (things if named else bare).append(word)
        if things or bare:
            self._things = [*things, *bare]
        if people:
            self._people = people

    def described(self, look: Words) -> list[Reading]:
        """Only a look, of what was named before: "My roots are showing. An even dark brown, please." """
        if not self._things or look_kind(Phrase(look).bare) not in ("colour", "material"):
            return []
        frame = Frame("become", old=(self._things[0],), new=look, rule="<look>", sure=0.75)
        meaning = meaning_of(frame)
        return [Reading(frame, meaning, look)] if meaning else []

    def resolved(self, frame: Frame) -> Frame:
        """The frame with nouns in the place of pronouns."""
        return replace(frame, old=self._named(frame.old), place=self._named(frame.place))

    def _named(self, words: Words) -> Words:
        phrase = Phrase(words)
        if phrase.is_any(frozenset({"attribute"})) and len(phrase.core) == 1 and self._things:
            return (self._things[0],)  # "the fabric", of what was named before
        if not phrase.is_pronoun:
            return words
        word = next(word for word in words if word in PRONOUNS)
        if word in ("it", "this", "that", "these", "those", "one", "ones"):
            return (self._things[0],) if self._things else words
        if word in ("them", "they") and not self._people and self._things:
            return (self._things[0],)
        return (self._people[-1],) if self._people else (self._DEFAULTS.get(word, "person"),)
