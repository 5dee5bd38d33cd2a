"""What a phrase is about: its head noun, the words before it that describe it, and what follows."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

from . import lexicon

Words = tuple[str, ...]

DETERMINERS = lexicon.particles("determiners")
_AFTER = lexicon.particles("after_the_head")
_JOINTS = frozenset({"and", "or", ",", "plus"})
_NEW_PHRASE = frozenset(
    ["the", "a", "an", "my", "his", "her", "our", "their", "i", "we", "he", "she", "they", "you", "its"]
)
# No noun phrase goes on after these, whatever stands before.
_VERBS = frozenset(
    ["should", "would", "could", "can", "can't", "must", "has", "have", "had", "be", "been", "not", "used", "supposed"]
    + ["deserves", "deserve", "wants", "want", "needs", "need", "ought", "looks", "reads", "comes", "isn't", "aren't"]
    + ["it's", "i'd", "i'm", "i'll", "he's", "she's", "they're", "we're", "won't", "doesn't", "don't", "please"]
)
_ALL_OF_IT = frozenset({"whole", "entire", "full", "complete", "overall"})
_ROUND = frozenset({"round", "past", "up", "down", "out"})
_EMPTY_HEADS = frozenset({"attribute", "part", "quantity"})
_SIDES = frozenset({"top", "front", "side", "surface", "area"})
_PICTURES = frozenset({"photo", "picture", "image", "portrait", "pic"})
PRONOUNS = lexicon.particles("pronouns")
LOOKS = frozenset(
    {
        "colour",
        "colour_general",
        "material",
        "style",
        "light_adj",
        "person_adj",
        "hair_adj",
        "garment_adj",
        "other_look",
        "degree",
    }
)
NOUNS = frozenset(lexicon.load("nouns")) - _EMPTY_HEADS - {"reference"}
GARMENTS = frozenset(lexicon.load("places")["worn"])
FACE = frozenset(lexicon.load("places")["of_a_face"])
PEOPLE = frozenset({"person", "role"})
# What compounds written as one word most often end in; "dandelion" is no animal.
_COMPOUNDED = GARMENTS | {"furniture", "room", "building", "hair", "vehicle"}
_PERSON_ENDINGS = ("ist", "man", "men", "woman", "women", "boy", "girl", "lady", "maid", "smith", "herd", "keeper")
SCENES = frozenset({"room", "building", "outdoor", "place_name"})


@lru_cache(maxsize=4096)
def classes(word: str) -> frozenset[str]:
    """The classes of an English word, of its last part where the whole ("marble-skinned") is not known."""
    known = lexicon.english().classes
    found = known(word.removesuffix("'")) if word.endswith("'") else known(word)
    if not found and "-" in word:
        parts = word.split("-")
        return known(parts[-1]) | (known(parts[0]) & LOOKS)
    if not found and word.endswith(("er", "est")) and len(word) > 4:
        stem = word.removesuffix("er").removesuffix("est")
        stems = (stem, stem + "e", stem[:-1] + "y" if stem.endswith("i") else stem, stem[:-1])
        return next((known(form) & LOOKS for form in stems if known(form) & LOOKS), frozenset())
    if not found and word.endswith("y") and "material" in known(word[:-1]):
        return frozenset({"material"})  # "silky"
    if not found and word.endswith(_PERSON_ENDINGS) and len(word) > 5:
        return frozenset({"person"})
    return found or _of_last_part(word)


def _of_last_part(word: str) -> frozenset[str]:
    """The class of an unknown compound written as one word: "greatcoat", "bookstall"."""
    known = lexicon.english().classes
    for start in range(3, len(word) - 3):
        found = known(word[start:]) & _COMPOUNDED
        if found:
            return found
    return frozenset()


def finite_verb(words: Words, at: int = 0) -> bool:
    """Whether a word is the verb of a statement: unknown, in the third person, after a noun, before a preposition.

    ``at``: the only place that counts; 0 for any.
    """
    places = [at] if at else range(1, len(words) - 1)
    return any(
        words[index].endswith("s")
        and not words[index].endswith(("'s", "ss"))
        and not classes(words[index]) & (NOUNS | LOOKS)
        and bool(classes(words[index - 1]) & NOUNS)
        and index + 1 < len(words)
        and bool(classes(words[index + 1]) & {"preposition"})
        for index in places
    )


@dataclass(frozen=True)
class Phrase:
    """A noun phrase. ``core``: without determiners and what follows the head; its last word is the ``head``."""

    words: Words

    @cached_property
    def bare(self) -> Words:
        """Without determiners, commas and joints at its start, and joints at its end."""
        start, end = 0, len(self.words)
        while start < end and (self.words[start] in DETERMINERS or self.words[start] in _JOINTS):
            start += 1
        while end > start and (self.words[end - 1] in _JOINTS or self.words[end - 1] in (":", "->")):
            end -= 1
        for index in range(start + 1, end - 1):
            if self.words[index] in ("the", "my", "our") and not any(
                classes(word) & (NOUNS | LOOKS | _EMPTY_HEADS | {"number"}) for word in self.words[start:index]
            ):
                return Phrase(self.words[index:end]).bare  # "PBR-wise the shield"
        return self.words[start:end] or self.words[-1:]

    @cached_property
    def core(self) -> Words:
        words = self.bare
        for index, word in enumerate(words):
            if index and (word in _AFTER or self._goes_on(words, index)):
                core = words[:index]
                if word == "of" and self._is_empty(core[-1]) and index + 1 < len(words):
                    return Phrase(words[index + 1 :]).core or core
                if word in _JOINTS and self._describes(core) and index + 1 < len(words):
                    rest = Phrase(words[index + 1 :]).core
                    return (*core, word, *rest) if rest and word in ("and", "or") else rest or core
                return self._owner(core)
        return self._owner(words)

    @staticmethod
    def _goes_on(words: Words, index: int) -> bool:
        """Whether a noun ends the phrase here: "the bloke photobombing", "a ninja mid-trick"."""
        word = words[index]
        if word in _VERBS:
            return True
        if not classes(words[index - 1]) & NOUNS:
            return False
        unknown = not classes(word) & (NOUNS | LOOKS)
        return (
            word in _NEW_PHRASE
            or (word == "front" and words[index + 1 : index + 2] and words[index + 1] in DETERMINERS)
            or word.startswith("mid-")
            or (word in _ROUND and index + 1 < len(words))
            or (unknown and word.endswith("ing") and len(word) > 5)
            or finite_verb(words[index - 1 :], at=1)
        )

    @staticmethod
    def _describes(core: Words) -> bool:
        """Whether all of it are looks: "black and white cat" goes on after "and"."""
        return all(classes(word) & LOOKS and not classes(word) & NOUNS for word in core)

    @staticmethod
    def _is_empty(word: str) -> bool:
        return bool(classes(word) & _EMPTY_HEADS) and not classes(word) & (NOUNS - {"thing"})

    @classmethod
    def _owner(cls, core: Words) -> Words:
        """ "bathroom tiles' finish", "table top", "the car's colour": the thing, not its attribute or part."""
        if len(core) > 1 and "person" in classes(core[-2]) and not classes(core[-1]) and core[-1].isalpha():
            core = core[:-1]  # "aunt edith"
        while len(core) > 1 and cls._is_owned(core[-1], classes(core[-2])):
            core = (*core[:-2], core[-2].removesuffix("'").removesuffix("'s"))
        return core

    @classmethod
    def _is_owned(cls, word: str, owner: frozenset[str]) -> bool:
        if not owner & NOUNS:
            return False
        if word in _SIDES:
            return not owner & (GARMENTS | FACE)
        return cls._is_empty(word) or (word in _PICTURES and bool(owner & (PEOPLE | {"building"})))

    @property
    def head(self) -> str:
        return self.core[-1].removesuffix("'") if self.core else ""

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The classes of the head."""
        return classes(self.head)

    @property
    def tail(self) -> Words:
        """What follows the core's first word: its place, its posture."""
        core = self.core
        for index in range(len(self.bare) - len(core) + 1):
            if self.bare[index : index + len(core)] == core:
                return self.bare[index + len(core) :]
        return ()

    @property
    def is_pronoun(self) -> bool:
        """ "it", "her", "this one"; not "her hair"."""
        words = [word for word in self.words if word not in (",", "all")]
        return len(words) == 1 and words[0] in PRONOUNS

    @property
    def takes_in_all(self) -> bool:
        """ "the whole porch", "the entire frame"."""
        return bool(_ALL_OF_IT & set(self.words))

    def has(self, *names: str) -> bool:
        """Whether any word of it, not only the head, is of one of these classes."""
        return any(classes(word) & set(names) for word in self.bare)

    def is_any(self, names: frozenset[str]) -> bool:
        """Whether the head is of one of these classes."""
        return bool(self.kinds & names)
