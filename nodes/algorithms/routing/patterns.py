"""The notation of the grammar: constructions written as people say them, matched against the words of a clause.

    "{replace} [out] <old> (with|by) <new>"

A word stands for itself, ``(a|b c)`` for one of several, ``[a]`` for something that may be left out, ``{name}`` for a
set of words or word sequences, ``*`` for a verb and within a word for any letters (``*ed``), ``<name>`` for one or more
words to take out, ``<name:the>`` for those that begin with one of ``{the}``. A construction fits a whole clause. The
shortest ``<old>`` is taken that lets the rest fit. A clause has at most ``text.LONGEST_CLAUSE`` words and a
construction at most three ``<...>``, so matching is bounded.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_PIECE = re.compile(r"<\w+(?::\w+)?>|\{\w+\}|[()\[\]|]|[^\s()\[\]|<>{}]+")
# What stands where a verb is looked for and is none.
_NO_VERB = (
    "the a an my his her our your their its this that these those some in on at of from with by for to under over "
    "behind beside near and or but not no i we he she it they there where what if so as than like instead"
)
_ANY_VERB = rf"(?!(?:{_NO_VERB.replace(' ', '|')}|\S+'s) )\S+ "
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
    needed: tuple[frozenset[str], ...] = ()

    def may_fit(self, words: frozenset[str]) -> bool:
        """Whether a line of these words has one of each set that every line must have which the rule fits."""
        return all(not some.isdisjoint(words) for some in self.needed)

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
            name, _, begin = piece[1:-1].partition(":")
            ahead = f"(?={expression('{' + begin + '}', sets)})" if begin else ""
            pieces.append(rf"(?P<{name}>{ahead}(?:\S+ )+?)")
        elif piece.startswith("{"):
            ordered = sorted(sets[piece[1:-1]], key=len, reverse=True)
            pieces.append(
                "(?:"
                + "|".join(re.escape(words).replace(r"\ ", " ").replace(r"\*", r"\S+") + " " for words in ordered)
                + ")"
            )
        elif piece == "*":
            pieces.append(_ANY_VERB)
        else:
            pieces.append(re.escape(piece).replace(r"\*", r"\S+") + " ")
    return "".join(pieces)


def needed(pattern: str, sets: Mapping[str, Iterable[str]]) -> tuple[frozenset[str], ...]:
    """Sets of words of each of which a line must have one: what is neither left out nor taken out."""
    found: list[frozenset[str]] = []
    depth, optional, firsts, at_first = 0, 0, set(), True
    for piece in _PIECE.findall(pattern):
        if piece in "[]" or optional:
            optional += (piece == "[") - (piece == "]")
            continue
        if piece == "(":
            depth, firsts, at_first = depth + 1, set() if not depth else firsts, True
        elif piece == ")":
            depth -= 1
            if not depth and "*" not in "".join(firsts):
                found.append(frozenset(firsts))
        elif piece == "|":
            at_first = True
        else:
            options = {"*"} if piece.startswith("<") else {piece}
            options = {words.split()[0] for words in sets[piece[1:-1]]} if piece.startswith("{") else options
            firsts |= options if depth and at_first else set()
            at_first = False
            if not depth and not any("*" in word for word in options):
                found.append(frozenset(options))
    return tuple(found)


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
        found.append(Rule(operation, pattern.strip(), regex, float(sure or 0.92), fixed, needed(pattern, sets)))
    return tuple(found)


def starts(phrases: str, sets: Mapping[str, Iterable[str]] | None = None) -> re.Pattern:
    """Fits any of the phrases (one a line) at the start of a clause, as often as they follow each other."""
    lines = [expression(line, sets or {}) for line in phrases.strip().splitlines()]
    return re.compile("(?:" + "|".join(sorted(lines, key=len, reverse=True)) + ")+")


def line_of(words: Iterable[str]) -> str:
    """The words as ``Rule.match`` takes them."""
    return "".join(word + " " for word in words)
