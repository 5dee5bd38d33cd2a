"""What was named so far, for "it", "her", "them", and for a clause that names nothing itself."""

from dataclasses import dataclass, replace

from .changes import change, look_of
from .lexicon import singular
from .looks import look_kind
from .meaning import Meaning
from .noun_phrases import DETERMINERS, GARMENTS, NOUNS, PRONOUNS, Phrase, classes
from .operations import meaning_of
from .patterns import Frame

Words = tuple[str, ...]

_THINGS = frozenset({"it", "this", "that", "these", "those", "one", "ones", "there"})
_SEVERAL = frozenset({"them", "they", "these", "those"})
_NAMING = frozenset({"whose", "there's", "is", "are", "no"})
_DEFAULTS = {
    "her": "woman",
    "she": "woman",
    "hers": "woman",
    "herself": "woman",
    "him": "man",
    "he": "man",
    "himself": "man",
    "them": "people",
    "they": "people",
    "us": "people",
    "we": "people",
    "me": "person",
    "i": "person",
    "you": "person",
    "myself": "person",
    "someone": "person",
}


@dataclass(frozen=True)
class Reading:
    """A frame and what it means. ``words`` are the clause's, without openers; ``refers``: to what was named before."""

    frame: Frame
    meaning: Meaning
    words: Words
    sentence: int = 0
    refers: bool = False


class Antecedents:
    """The people and things of the clauses before, and what the last statement was about."""

    def __init__(self) -> None:
        self._people: list[str] = []
        self._things: list[Words] = []
        self._subject: Words = ()

    @property
    def known(self) -> bool:
        """Whether a thing was named."""
        return bool(self._things)

    def note(self, words: Words) -> None:
        """Remember the nouns of a clause; the first thing in it is what "it" means next."""
        things, people, bare = [], [], []
        for index, word in enumerate(words):
            kinds = classes(word)
            if not kinds & NOUNS or word in PRONOUNS or kinds & {"whole"} or word.endswith("'s"):
                continue
            if index + 1 < len(words) and classes(words[index + 1]) & NOUNS and not kinds & {"person"}:
                continue  # "fishing boat": the head comes later
            if kinds & {"person", "role"}:
                people.append(word)
            elif not kinds & {"light", "place_name"}:
                before = words[max(0, index - 3) : index]
                named = any(word_ in DETERMINERS or word_ in _NAMING for word_ in before)
                (things if named else bare).append((word,))
        if things or bare:
            self._things = [*things, *bare]
        if people:
            self._people = people

    def note_subject(self, words: Words) -> None:
        """Remember what a statement is about, known word or not: "the pauldrons read as plastic"."""
        phrase = Phrase(words)
        if not phrase.core or phrase.is_pronoun or phrase.head in PRONOUNS or phrase.kinds & {"whole"}:
            return
        if not phrase.kinds and self._things:
            return
        self._subject = phrase.core
        if not phrase.kinds & {"person", "role", "light"}:
            self._things = [phrase.core, *self._things]

    def described(self, look: Words) -> list[Reading]:
        """Only a look, of what was named before: "My roots are showing. An even dark brown, please." """
        if not self._things or look_kind(Phrase(look).bare) not in ("colour", "material"):
            return []
        frame = Frame("become", old=self._things[0], new=look, rule="<look>", sure=0.75)
        meaning = meaning_of(frame)
        return [Reading(frame, meaning, look)] if meaning else []

    def exchanged(self, new: Words) -> Reading | None:
        """Something in the place of what a statement was about: "that table is awful, a round wooden one"."""
        if not self._subject or not Phrase(new).core:
            return None
        frame = Frame("replace", old=self._subject, new=new, rule="<new>", sure=0.8)
        meaning = change(Phrase(self._subject), new, replacing=True)
        return Reading(frame, replace(meaning, confidence=min(0.8, meaning.confidence)), new) if meaning else None

    def worn_before(self, meaning: Meaning) -> Meaning:
        """A garment that was spoken of makes room for another of its place: "the shorts ruin it, he needs trousers"."""
        subject, target = Phrase(self._subject), Phrase((meaning.target,))
        if meaning.category != "clothes" or not subject.is_any(GARMENTS) or target.head == subject.head:
            return meaning
        new = Phrase(tuple(meaning.prompt.split())).kinds | target.kinds
        same = new & subject.kinds & GARMENTS or meaning.target == "clothes" and subject.kinds & {"upper", "full"}
        return replace(meaning, target=" ".join(self._subject).replace("_", " ")) if same else meaning

    def resolved(self, frame: Frame) -> Frame:
        """The frame with nouns in the place of pronouns."""
        if frame.operation == "split" and frame.old[0] in ("it", "them") and len(frame.old) > 1 and self._things:
            look = frame.old[1:]
            kind = look_of(look)
            if kind in ("colour", "material") or (not kind and Phrase(look).is_any(NOUNS - {"light"})):
                return replace(frame, operation="become", old=self._things[0], new=look)
        return replace(frame, old=self._named(frame.old), place=self._named(frame.place))

    def _named(self, words: Words) -> Words:
        phrase = Phrase(words)
        if phrase.is_any(frozenset({"attribute"})) and len(phrase.core) == 1 and self._things:
            return self._things[0]  # "the fabric", of what was named before
        if not phrase.is_pronoun:
            return words
        word = next(word for word in words if word in PRONOUNS)
        if word in _SEVERAL:
            several = [thing for thing in self._things if thing[-1].endswith("s")]
            if several and not (
                word in ("them", "they") and set(self._people) - {singular(one) for one in self._people}
            ):
                return several[0]
        if word in _THINGS:
            return self._things[0] if self._things else words
        if word in ("them", "they") and not self._people and self._things:
            return self._things[0]
        return (self._people[-1],) if self._people else (_DEFAULTS.get(word, "person"),)
