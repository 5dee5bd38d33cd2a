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
    if not found and word.endswith(("ist", "woman", "boy", "girl")) and len(word) > 5:
        return frozenset({"person"})
    return found


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
        return self.words[start:end] or self.words[-1:]

    @cached_property
    def core(self) -> Words:
        words = self.bare
        for index, word in enumerate(words):
            if index and (word in _AFTER or (word in _NEW_PHRASE and classes(words[index - 1]) & NOUNS)):
                core = words[:index]
                if word == "of" and self._is_empty(core[-1]) and index + 1 < len(words):
                    return Phrase(words[index + 1 :]).core or core
                if word in _JOINTS and self._describes(core) and index + 1 < len(words):
                    rest = Phrase(words[index + 1 :]).core
                    return (*core, word, *rest) if rest and word in ("and", "or") else rest or core
                return self._owner(core)
        return self._owner(words)

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

    def has(self, *names: str) -> bool:
        """Whether any word of it, not only the head, is of one of these classes."""
        return any(classes(word) & set(names) for word in self.bare)

    def is_any(self, names: frozenset[str]) -> bool:
        """Whether the head is of one of these classes."""
        return bool(self.kinds & names)


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
    """The kind that the last describing word before a head gives it."""
    for word in reversed(words):
        kind = _kind(classes(word) & LOOKS)
        if kind:
            return kind
    return ""


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
