"""A wish in plain English, taken apart: what to change, and what the picture shows there afterwards.

Understood are "make the car blue", "paint / dye / turn / colour the car blue", "change the car to blue", "turn the car
into a truck", "replace the car with a truck" and "remove the car". Any other text is taken as a description of the
object as it shall be ("blue car"), which names the object too.

Standard library only: the headless runner imports this module.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """``target``: words to find the object by. ``prompt``: what to paint there."""

    target: str
    prompt: str


EMPTY_BACKGROUND = "empty background"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COLOURS = _words("""
    amber aqua beige black blond blonde blue bronze brown burgundy charcoal copper coral cream crimson cyan gold
    golden gray green grey indigo ivory khaki lavender lime magenta maroon mauve mint mustard navy ochre olive
    orange peach pink plum purple red rose rust salmon scarlet silver tan teal turquoise violet white yellow
""")
_LOOKS = _words("""
    brass checkered chrome colorful colourful concrete cotton denim dirty dotted dry floral furry fluffy glass
    glossy leather marble matte metal metallic neon new old patterned plaid plastic rainbow rusty shiny silk
    smooth steel stone striped transparent velvet wet wood wooden wool woolen woollen
""")
_DEGREES = _words("bright dark deep hot less light more pale pastel royal sky slightly so very")
_JOINS = frozenset({"and", "with"})
_ARTICLE = re.compile(r"(?:(?:the|a|an|my|his|her|its|their|our|your|this|that|these|those|all|both)\s+)+", re.I)
_COLOUR_OF = re.compile(r"(?:the\s+)?colou?rs?\s+of\s+", re.I)
_POLITE = re.compile(
    r"(?:(?:please|kindly|can you|could you|would you|i want you to|i want to|i'd like to),?\s+)+", re.I
)
_PICTURE = re.compile(r"(?:photo|picture|image|shot|scene|background)s?", re.I)

_REPLACE = re.compile(r"(?:replace|substitute)\s+(.+?)\s+(?:with|by)\s+(.+)|swap\s+(.+?)\s+(?:for|with)\s+(.+)", re.I)
_REMOVE = re.compile(
    r"(?:remove|delete|erase|get\s+rid\s+of|take\s+(?:out|away))\s+(.+?)(?:\s+(?:from|off|out\s+of)\s+(.+))?", re.I
)
_BECOME = re.compile(
    r"(?:change|turn|transform|convert|make|paint|dye|recolou?r|colou?r)\s+(.+?)\s+(?:(?:in)?to|look\s+like)\s+(.+)",
    re.I,
)
_MAKE = re.compile(r"(?:make|turn|paint|dye|recolou?r|colou?r)\s+(?:the\s+)?(.+)", re.I)
# A noun phrase has none of these: "make the woman wear a red dress" is no "make <thing> <look>".
_NOT_IN_A_THING = _words("a an the to be is are have has hold holding wear wearing sit stand smile it them")


def has_word(text: str) -> bool:
    """Whether ``text`` has at least one letter or digit, of any script."""
    return any(character.isalnum() for character in text)


def parse_wish(text: str) -> Wish:
    """Take a wish apart. Raises ``ValueError`` when ``text`` has no word in it."""
    if not has_word(text):
        raise ValueError(f"no word in {text!r}")
    whole = text.strip()
    sentence = _without(_POLITE, " ".join(whole.split()).rstrip(".!?;, "))
    wish = _replacing(sentence) or _removing(sentence) or _becoming(sentence) or _making(sentence)
    return wish or Wish(whole, whole)


def _replacing(sentence: str) -> Wish | None:
    match = _REPLACE.fullmatch(sentence)
    if not match:
        return None
    old, new = (match[1], match[2]) if match[1] else (match[3], match[4])
    return _wish(_thing(old), _thing(new))


def _removing(sentence: str) -> Wish | None:
    match = _REMOVE.fullmatch(sentence)
    if not match:
        return None
    place = _thing(match[2] or "")
    # An inpainting model fills in what its prompt names, so the prompt names what is left, never the object.
    left = EMPTY_BACKGROUND if not place or _PICTURE.fullmatch(place) else f"empty {place}"
    return _wish(_thing(match[1]), left)


def _becoming(sentence: str) -> Wish | None:
    match = _BECOME.fullmatch(sentence)
    if not match:
        return None
    target, new = _thing(_without(_COLOUR_OF, match[1])), _thing(match[2])
    if all(_describes(word) for word in new.split()):
        new = _repainted(target, new)
    return _wish(target, new)


def _making(sentence: str) -> Wish | None:
    """ "make the old car bright red": the longest end made of looks describes, the rest is the object."""
    match = _MAKE.fullmatch(sentence)
    if not match:
        return None
    words = match[1].split()
    split = len(words)
    while split > 1 and _describes(words[split - 1]):
        split -= 1
    while split < len(words) - 1 and words[split].casefold() in _JOINS:
        split += 1
    if split == len(words):  # an unknown last word may still be a look: "make the car faster"
        split -= 1
        while split > 1 and words[split - 1].casefold() in _DEGREES:
            split -= 1
    look = " ".join(words[split:])
    thing = words[:split]
    if thing and thing[-1].casefold() in ("look", "appear"):
        thing.pop()
    if not thing or any(word.casefold() in _NOT_IN_A_THING for word in thing):
        return None
    target = _thing(" ".join(thing))
    return _wish(target, _repainted(target, look))


def _describes(word: str) -> bool:
    word = word.casefold().strip(",")
    return all(part in _COLOURS | _LOOKS | _DEGREES | _JOINS for part in word.split("-"))


def _repainted(target: str, look: str) -> str:
    """``red car``, ``blue`` -> ``blue car``: a new colour takes the place of the old one."""
    words = target.split()
    if any(word.casefold() in _COLOURS for word in look.split()):
        words = [word for word in words[:-1] if word.casefold() not in _COLOURS] + words[-1:]
    while len(words) > 1 and words[0].casefold() in _JOINS:  # left over from "black and white cat"
        words.pop(0)
    return " ".join([look, *words])


def _thing(phrase: str) -> str:
    return _without(_ARTICLE, phrase.strip(" ,"))


def _without(start: re.Pattern, text: str) -> str:
    match = start.match(text)
    return text[match.end() :] if match else text


def _wish(target: str, prompt: str) -> Wish | None:
    if not has_word(target) or not has_word(prompt) or target.casefold() in _NOT_IN_A_THING:
        return None
    return Wish(target, prompt)
