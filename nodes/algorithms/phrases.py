"""A detection prompt as phrases, and phrases as token sequences that fit the model.

Grounding DINO reads one text, ``"car. red door."``, and scores every token of it. The phrases' own token spans are
kept here, so that a label is always one of the phrases and never a mixture of two.
"""

import re
from dataclasses import dataclass

# The model itself sees "." and "?" as borders. The comma is one as well: people list things with commas, and in
# one phrase "car, dog" both words would score for either object.
_BORDERS = re.compile(r"[.,;?!|\n\r。，；？！、]+")
_WORD = re.compile(r"\w")


@dataclass(frozen=True)
class Span:
    """A phrase of a text: ``words`` are ``(word, first token, one past its last token)`` in reading order."""

    phrase: str
    words: tuple[tuple[str, int, int], ...]

    @property
    def first(self) -> int:
        return self.words[0][1]

    @property
    def stop(self) -> int:
        return self.words[-1][2]


@dataclass(frozen=True)
class Pass:
    """One text for the model: its token ids, with [CLS] and [SEP], and where each phrase is in them."""

    token_ids: tuple[int, ...]
    spans: tuple[Span, ...]


def split_prompt(prompt: str) -> list[str]:
    """The phrases of ``prompt``: lower case, without repeats, in their order.

    Full stop, comma, semicolon, question and exclamation mark, "|" and a new line end a phrase. Raises
    ``ValueError`` when no phrase has a letter or digit.
    """
    pieces = (" ".join(piece.lower().split()) for piece in _BORDERS.split(prompt))
    phrases = list(dict.fromkeys(piece for piece in pieces if _WORD.search(piece)))
    if not phrases:
        raise ValueError(f"The prompt {prompt!r} has no word in it. Name what to find, for example: car. red door.")
    return phrases


def plan_passes(tokenizer, phrases: list[str], limit: int) -> list[Pass]:
    """Texts of at most ``limit`` tokens that hold all ``phrases``, in order; a phrase is never cut.

    ``tokenizer`` is a ``tokenizers.Tokenizer``. Raises ``ValueError`` when a single phrase is too long.
    """
    groups: list[list[str]] = []
    for phrase in phrases:
        if groups and _length(tokenizer, [*groups[-1], phrase]) <= limit:
            groups[-1].append(phrase)
            continue
        length = _length(tokenizer, [phrase])
        if length > limit:
            raise ValueError(
                f"The phrase '{phrase[:60]}…' is {length} tokens long and the model reads {limit} at once. "
                "Shorten it, or split it with full stops."
            )
        groups.append([phrase])
    return [_plan(tokenizer, group) for group in groups]


def _text(phrases: list[str]) -> str:
    return ". ".join(phrases) + "."


def _length(tokenizer, phrases: list[str]) -> int:
    return len(tokenizer.encode(_text(phrases)).ids)


def _plan(tokenizer, phrases: list[str]) -> Pass:
    text = _text(phrases)
    encoding = tokenizer.encode(text)
    spans = []
    start = 0
    for phrase in phrases:
        span = _span(text, phrase, start, encoding.offsets)
        if span:
            spans.append(span)
        start += len(phrase) + 2
    return Pass(tuple(encoding.ids), tuple(spans))


def _span(text: str, phrase: str, start: int, offsets: list[tuple[int, int]]) -> Span | None:
    """The tokens of the phrase at ``text[start:]``; None where the vocabulary drops all its characters."""
    words = []
    for match in re.finditer(r"\S+", text[start : start + len(phrase)]):
        first, stop = start + match.start(), start + match.end()
        tokens = [at for at, (left, right) in enumerate(offsets) if left < right and left >= first and right <= stop]
        if tokens:
            words.append((match.group(), tokens[0], tokens[-1] + 1))
    return Span(phrase, tuple(words)) if words else None
