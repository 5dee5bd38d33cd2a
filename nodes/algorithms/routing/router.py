"""``route``: a wish in, a decision out."""

import re
from collections.abc import Collection
from dataclasses import replace

from .asides import ignores_reference
from .clauses import clauses_of
from .decision import Decision, Edit, TextEncoder, new_edit
from .languages import grammar_of, language_of
from .meaning import GUESS, Meaning
from .reading import Antecedents, Reading, read
from .refine import refine
from .text import LONGEST, has_word, normalised, spoken

_DOUBT = 0.3  # for what is longer than what is read, or looks like a program
_CODE = re.compile(r"[{}<>]|--\s*$|\bdrop table\b", re.IGNORECASE)


def route(
    wish: str,
    *,
    reference: bool = False,
    found: Collection[str] | None = None,
    encoder: TextEncoder | None = None,
) -> Decision:
    """Decide how to do ``wish``. Raises ``ValueError`` when it has no word."""
    if not has_word(wish):
        raise ValueError(f"no word in {wish[:80]!r}")
    text = normalised(wish)
    language = language_of(text)
    takes = reference and not ignores_reference(text)
    doubt = _DOUBT if len(wish) > LONGEST or _CODE.search(text) else 1.0
    # A text encoder knows English; what the rules read in other languages it can only make worse.
    encoder = encoder if language == "en" and doubt == 1 else None
    edits = []
    for reading in _readings(text, language):
        edit = _edit(reading.meaning, takes, doubt)
        edits.append(refine(edit, spoken(reading.words), reference=takes, found=found, encoder=encoder))
    if not edits:
        edits.append(refine(_no_edit(text), text, reference=takes, found=found, encoder=encoder))
    return Decision(wish, tuple(edits))


def _readings(text: str, language: str) -> list[Reading]:
    grammar = grammar_of(language)
    antecedents = Antecedents()
    found: list[Reading] = []
    sentence = -1
    for clause in clauses_of(text, grammar):
        here = [] if clause.kept else read(clause, grammar, antecedents)
        if (
            here
            and here[0].frame.operation not in ("describe", "context")
            or clause.sentence != sentence
            or clause.kept
        ):
            antecedents.note((*clause.words, *clause.extra))
        sentence = clause.sentence
        found += [replace(reading, sentence=sentence) for reading in here]
    return _chosen(found)


def _chosen(found: list[Reading]) -> list[Reading]:
    """Statements give way to descriptions and these to what is asked for; what is said twice is one edit."""
    asked = [reading for reading in found if reading.frame.operation not in ("describe", "context")]
    asked_in = {reading.sentence for reading in asked}
    described = [reading for reading in found if reading.frame.operation == "describe"]
    if asked:
        if any(r.meaning.confidence >= 0.8 for r in asked):
            asked = [r for r in asked if r.meaning.confidence > GUESS]
        plain = [r for r in asked if not r.frame.rule.startswith("no ")]
        asked = plain or asked  # "no props, no text" after what to do
        kept = [
            r
            for r in found
            if r in asked or (r in described and r.meaning.confidence >= 0.85 and r.sentence in asked_in)
        ]
    else:
        kept = [r for r in described if r.meaning.confidence >= 0.85] or described[:1] or found[:1]
    chosen: list[Reading] = []
    for reading in kept:
        _add(reading, chosen)
    return chosen


def _add(reading: Reading, chosen: list[Reading]) -> None:
    last = chosen[-1] if chosen else None
    if last and last.meaning.category == "removal":
        if reading.words[0] in ("fill", "rebuild", "reconstruct", "restore", "inpaint", "complete"):
            return
        cut_out = reading.meaning.category == "background" and reading.frame.new[:1] in (
            ("it",),
            ("them",),
            ("him",),
            ("her",),
        )
        moved = reading.meaning.category == "background" and reading.frame.old[:1] in (
            ("it",),
            ("them",),
            ("him",),
            ("her",),
        )
        if cut_out or moved:
            chosen.pop()  # "cut out the dog and put it on a meadow"
    key = (reading.meaning.category, reading.meaning.target)
    if key not in [(other.meaning.category, other.meaning.target) for other in chosen]:
        chosen.append(reading)


def _edit(meaning: Meaning, reference: bool, doubt: float) -> Edit:
    return new_edit(
        meaning.category,
        meaning.target,
        meaning.prompt or meaning.target,
        confidence=meaning.confidence * doubt,
        reasons=(meaning.reason,),
        use_reference=reference,
    )


def _no_edit(text: str) -> Edit:
    words = " ".join(text.split())[:200]
    return new_edit("colour", words, words, confidence=0.2, reasons=("The wish names no edit that the rules know.",))
