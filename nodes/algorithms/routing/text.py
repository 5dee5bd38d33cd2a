"""From what somebody typed to words: one spelling of quotes, arrows and contractions, no emoji, a bounded length."""

import re
import unicodedata

#: Characters of a wish that are read. Rules then take a bounded time, whatever is pasted.
LONGEST = 2000
#: Words of a clause that are read.
LONGEST_CLAUSE = 60

_QUOTES = str.maketrans(
    {"&": " and ", "’": "'", "‘": "'", "`": "'", "´": "'", "“": '"', "”": '"', "–": " - ", "—": " - ", "_": " "}
)
_ARROW = re.compile(r"\s*(?:-+>|=+>|→|⇒|➡️?|➔)\s*")
# What stands in parentheses is said by the way, unless it goes on with the wish.
_ASIDE = re.compile(r"\((?!(?:and|plus|also|make|with|in|but|remove|add|change|put) )[^()]{4,200}\)")
_NUMBERED = re.compile(r"(?:^|(?<=\s))\d{1,2}[.)]\s")
_TOKEN = re.compile(r"\w+(?:['-]\w+)*'?|[.,;:!?\n。，；：！？、]|\s-\s")
_SENTENCE_ENDS = frozenset(".;!?\n。；！？")
_COMMAS = {"，": ",", "、": ",", "：": ":", " - ": ","}


def has_word(text: str) -> bool:
    """Whether ``text`` has at least one letter or digit, of any script."""
    return any(character.isalnum() for character in text)


def normalised(text: str) -> str:
    """``text`` in lower case and NFKC, its first ``LONGEST`` characters."""
    text = unicodedata.normalize("NFKC", text[:LONGEST]).translate(_QUOTES).casefold().replace("ß", "ss")
    aside = _ASIDE.sub(" ", text)
    text = aside if has_word(aside) else text
    return _NUMBERED.sub(" ; ", _ARROW.sub(" becomes ", text))


def sentences(text: str) -> list[list[str]]:
    """The words and commas of each sentence of a normalised text."""
    found: list[list[str]] = [[]]
    for token in _TOKEN.findall(text):
        if token in _SENTENCE_ENDS:
            found.append([])
        else:
            found[-1].append(_COMMAS.get(token, token))
    return [words for words in found if any(has_word(word) for word in words)]


def spoken(words: list[str] | tuple[str, ...]) -> str:
    """Words as a person writes them."""
    return " ".join(words).replace("_", " ").replace(" ,", ",").strip(" ,:-")
