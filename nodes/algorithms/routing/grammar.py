"""What the router knows of one language: constructions, and words that say nothing about the edit."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .patterns import Rule, rules, starts

Words = tuple[str, ...]

_FOLDER = Path(__file__).parent / "grammars"


@dataclass(frozen=True)
class Grammar:
    """The rules of one language. Patterns fit the start or the end of a clause, each word followed by one space.

    ``rules``: constructions, the first that fits is taken. ``openers`` and ``closers`` say nothing about the edit
    ("could you please", "thanks"). ``kept`` starts a clause about what shall stay. ``starters`` are the words a new
    clause may begin with after a comma or one of ``joins``; ``enders`` are verbs after which one of the ``joins``
    begins another clause. ``words`` turns the words of a sentence into those of the rules, ``translate`` a phrase into
    English. ``trust`` scales the confidence of all that is read.
    """

    language: str
    rules: tuple[Rule, ...]
    openers: re.Pattern
    closers: re.Pattern
    kept: re.Pattern
    starters: frozenset[str]
    joins: frozenset[str]
    words: Callable[[list[str]], list[str]]
    translate: Callable[..., Words]
    enders: frozenset[str] = frozenset()
    trust: float = 1.0


def load_sections(language: str) -> dict[str, str]:
    """The sections of ``grammars/<language>.txt``: "sets", "rules", "openers", "closers", "kept", "starters"."""
    text = (_FOLDER / f"{language}.txt").read_text(encoding="utf-8")
    sections = re.split(r"^== (\w+)\n", text, flags=re.MULTILINE)
    return dict(zip(sections[1::2], sections[2::2], strict=True))


def load_grammar(
    language: str,
    *,
    words: Callable[[list[str]], list[str]],
    translate: Callable[..., Words],
    joins: str,
    enders: str = "",
    trust: float = 1.0,
) -> Grammar:
    """The grammar in ``grammars/<language>.txt``; ``joins`` and ``enders`` are words apart by spaces."""
    sections = load_sections(language)
    lines = (line.partition(": ") for line in sections["sets"].split("\n") if line.strip())
    sets = {name: options.split("|") for name, _, options in lines}
    return Grammar(
        language=language,
        rules=rules(sections["rules"], sets),
        openers=starts(sections["openers"]),
        closers=re.compile("(?<![^ ])" + starts(sections["closers"]).pattern + r"\Z"),
        kept=starts(sections["kept"]),
        starters=frozenset(sections["starters"].split()),
        joins=frozenset(joins.split()),
        words=words,
        translate=translate,
        enders=frozenset(enders.split()),
        trust=trust,
    )
