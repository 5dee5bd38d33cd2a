"""The notation of the grammar: constructions written as people say them, matched against the words of a clause.

    "{replace} [out] <old> (with|by) <new>"

A word stands for itself, ``(a|b c)`` for one of several, ``[a]`` for something that may be left out, ``{name}`` for a
set of words or word sequences, ``<name>`` for one or more words to take out. A construction fits a whole clause.
The shortest ``<old>`` is taken that lets the rest fit. A clause has at most ``text.LONGEST_CLAUSE`` words and a
construction at most three ``<...>``, so matching is bounded.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PIECE = re.compile(r"<\w+>|\{\w+\}|[()\[\]|]|[^\s()\[\]|<>{}]+")
_SIGNS = {"(": "(?:", ")": ")", "[": "(?:", "]": ")?", "|": "|"}


@dataclass(frozen=True)
class Frame:
    """What a clause asks for: the operation and the word sequences it is about. ``rule`` says how it was found."""

    operation: str
    old: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    place: tuple[str, ...] = ()
    rule: str = ""
    sure: float = 0.92
    mentions_reference: bool = False


@dataclass(frozen=True)
class Rule:
    """A construction and the operation it stands for. ``fixed`` are parts that its words imply."""

    operation: str
    pattern: str
    expression: re.Pattern
    sure: float
    fixed: Mapping[str, str] = field(default_factory=dict)

    def match(self, line: str) -> Frame | None:
        """``line``: the clause's words, each followed by one space."""
        found = self.expression.fullmatch(line)
        if not found:
            return None
        parts = {name: tuple((text or "").split()) for name, text in found.groupdict().items()}
        parts |= {name: tuple(text.split()) for name, text in self.fixed.items()}
        return Frame(self.operation, rule=self.pattern, sure=self.sure, **parts)


def expression(pattern: str, sets: Mapping[str, Iterable[str]]) -> str:
    """``pattern`` as a regular expression over words that are each followed by one space."""
    pieces = []
    for piece in _PIECE.findall(pattern):
        if piece in _SIGNS:
            pieces.append(_SIGNS[piece])
        elif piece.startswith("<"):
            pieces.append(rf"(?P{piece}(?:\S+ )+?)")
        elif piece.startswith("{"):
            ordered = sorted(sets[piece[1:-1]], key=len, reverse=True)
            pieces.append("(?:" + "|".join(re.escape(words).replace(r"\ ", " ") + " " for words in ordered) + ")")
        else:
            pieces.append(re.escape(piece) + " ")
    return "".join(pieces)


def rules(table: str, sets: Mapping[str, Iterable[str]]) -> tuple[Rule, ...]:
    """Read a table of constructions.

    A line is ``operation: construction``, or ``operation 0.7: construction`` with how sure it makes, and may end in
    ``# name=words`` for a part that is implied.
    """
    found = []
    for line in table.strip().splitlines():
        head, _, rest = line.strip().partition(": ")
        if not rest:
            continue
        pattern, _, implied = rest.partition(" # ")
        operation, _, sure = head.partition(" ")
        fixed = dict([implied.split("=")]) if implied else {}
        regex = re.compile(expression(pattern, sets))
        found.append(Rule(operation, pattern.strip(), regex, float(sure or 0.92), fixed))
    return tuple(found)


def starts(phrases: str, sets: Mapping[str, Iterable[str]] | None = None) -> re.Pattern:
    """Fits any of the phrases (one a line) at the start of a clause, as often as they follow each other."""
    lines = [expression(line, sets or {}) for line in phrases.strip().splitlines()]
    return re.compile("(?:" + "|".join(sorted(lines, key=len, reverse=True)) + ")+")


def line_of(words: Iterable[str]) -> str:
    """The words as ``Rule.match`` takes them."""
    return "".join(word + " " for word in words)
