"""What was named so far, for "it", "her", "them", and for a clause that names nothing itself."""

from dataclasses import dataclass, replace

from .changes import change, look_of
from .lexicon import particles, singular
from .looks import look_kind
from .meaning import Meaning
from .noun_phrases import DETERMINERS, GARMENTS, NOUNS, PRONOUNS, Phrase, classes
from .operations import meaning_of
from .patterns import Frame

Words = tuple[str, ...]

_THINGS = frozenset({"it", "this", "that", "these", "those", "one", "ones", "there"})
_FLAWS = frozenset({"damage", "blemish"})
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


_WHERE = frozenset(
    {"on", "onto", "in", "at", "behind", "above", "over", "under", "beside", "next", "against", "around"}
)
# Who makes or orders a picture, and what it is for, are not in it.
_NEVER_MEANT = particles("never_in_the_photo")
_ARTICLES = frozenset({"a", "an", "the", "my", "his", "her", "our", "their", "this", "that", "these", "those"})


def _is_head(words: Words, index: int) -> bool:
    """Whether a noun phrase ends here: a noun before no other, or a word that is not known after an article."""
    word = words[index]
    kinds, following = classes(word), classes(words[index + 1]) if index + 1 < len(words) else frozenset()
    if word.endswith("'s"):
        return False
    if kinds & NOUNS:
        return not following & NOUNS or bool(kinds & {"person"} and not following & {"whole"})
    after_article = index > 0 and words[index - 1] in _ARTICLES and word.isalpha()
    return after_article and not kinds - {"material"} and bool(not following or following & {"preposition"})


@dataclass(frozen=True)
class Reading:
    """A frame and what it means. ``words`` are the clause's, without openers; ``refers``: to what was named before."""

    frame: Frame
    meaning: Meaning
    words: Words
    sentence: int = 0
    refers: bool = False


def _kinds_wanted(frame: Frame) -> frozenset[str]:
    """What "it" is likeliest, by what it shall be or that it shall go: "swap it for a blazer" is about a garment."""
    if frame.operation in ("replace", "become"):
        return GARMENTS if Phrase(frame.new).is_any(GARMENTS) else frozenset()
    return _FLAWS if frame.operation in ("remove", "appearance") else frozenset()


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

    def note(self, words: Words, *, aside: bool = False) -> None:
        """Remember the nouns of a clause; the first thing in it is what "it" means next.

        ``aside``: what was named before is meant rather, unless nothing was or the wish says what kind of thing.

        What the clause is about goes before where that is ("a plaster on his chin"), and both before what only stands
        there without an article.
        """
        people = []
        things: tuple[list[Words], ...] = ([], [], [])
        for index, word in enumerate(words):
            kinds = classes(word)
            if "background" in kinds and words[index - 1 : index] in (("in",), ("the",)) and index < 3:
                continue  # where something is, not what is meant
            if not _is_head(words, index) or word in PRONOUNS or kinds & {"whole"} or word in _NEVER_MEANT:
                continue
            if kinds & {"person", "role"}:
                people.append(word)
            elif not kinds & {"light", "place_name"}:
                before = words[max(0, index - 3) : index]
                named = any(word_ in DETERMINERS or word_ in _NAMING for word_ in before)
                there = any(word_ in _WHERE for word_ in before) and bool(kinds)
                things[there if named else 2].append((word,))
        new = [thing for some in things for thing in some]
        if aside:
            self._things += new
            self._people = self._people or people
            return
        if new:
            self._things = new
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
        wanted = _kinds_wanted(frame)
        return replace(frame, old=self._named(frame.old, wanted), place=self._named(frame.place, wanted))

    def _named(self, words: Words, wanted: frozenset[str] = frozenset()) -> Words:
        found = self._meant(words)
        if not wanted or found == words or classes(found[-1]) & wanted:
            return found
        return next((thing for thing in self._things if classes(thing[-1]) & wanted), found)

    def _meant(self, words: Words) -> Words:
        phrase = Phrase(words)
        if phrase.is_any(frozenset({"attribute"})) and len(phrase.core) == 1 and self._things:
            return self._things[0]  # "the fabric", of what was named before
        if not phrase.is_pronoun:
            return words
        word = next(word for word in words if word in PRONOUNS)
        if word in _SEVERAL:
            several = [thing for thing in self._things if thing[-1] != singular(thing[-1])]
            if several and not (
                word in ("them", "they") and set(self._people) - {singular(one) for one in self._people}
            ):
                return several[0]
        if word in _THINGS and (self._things or not self._people):
            return self._things[0] if self._things else words
        if word in ("them", "they") and not self._people and self._things:
            return self._things[0]
        return (self._people[-1],) if self._people else (_DEFAULTS.get(word, "person"),)
