"""``route``: a wish in, a decision out."""

import re
from collections.abc import Collection
from dataclasses import replace

from .antecedents import Antecedents, Reading
from .asides import ignores_reference
from .clauses import clauses_of
from .decision import Decision, Edit, TextEncoder, new_edit
from .guessing import guess, thing_named
from .languages import grammar_of, language_of
from .meaning import GUESS, Meaning
from .noun_phrases import GARMENTS, NOUNS, Phrase, classes
from .reading import read
from .refine import refine
from .text import LONGEST, has_word, normalised, spoken

_DOUBT = 0.3  # for what is longer than what is read, or looks like a program
_WEAK = 0.4  # what is no surer is worth no more than a guess by the words
_SURE = 0.85  # of a description that stands beside what is asked for
_THERE = frozenset({"there", "instead", "place", "it", "stead"})
_LAST = ("complaint", "do")  # what asks for something if nothing else does
_STATEMENTS = ("context", "statement", "state", "complaint")
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
    # A text encoder knows English, and so do the examples; what the rules read in other languages they would spoil.
    english = language == "en" and doubt == 1
    encoder = encoder if english else None
    weighed = {"reference": takes, "found": found, "encoder": encoder, "by_words": english}
    edits = []
    readings = _readings(text, language)
    weak = all(reading.meaning.confidence <= _WEAK for reading in readings)
    guessed = guess(text, grammar_of(language)) if weak else None
    if guessed:
        edits.append(refine(_edit(guessed, takes, doubt), text, **weighed))
        readings = []
    for reading in readings:
        edit = _with_a_thing(_edit(reading.meaning, takes, doubt), text, language)
        words = text if len(readings) == 1 else spoken(reading.words)
        edits.append(refine(edit, words, **weighed))
    if not edits:
        edits.append(refine(_no_edit(text), text, **weighed))
    return Decision(wish, tuple(edits))


def _with_a_thing(edit: Edit, text: str, language: str) -> Edit:
    """``edit`` of a thing that the wish names, where its target ends in a word that is known to be none."""
    kinds = classes(edit.target.split()[-1]) if edit.target else frozenset()
    stuff = edit.category == "removal" and "material" in kinds  # "the plaster on his chin"
    if not kinds or kinds & NOUNS or stuff:
        return edit
    return replace(edit, target=thing_named(text, grammar_of(language)) or edit.target)


def _readings(text: str, language: str) -> list[Reading]:
    grammar = grammar_of(language)
    antecedents = Antecedents()
    found: list[Reading] = []
    sentence, after_kept = -1, False
    for clause in clauses_of(text, grammar):
        here = [] if clause.kept else read(clause, grammar, antecedents)
        operation = here[0].frame.operation if here else ""
        speaks = operation not in ("", "describe", *_STATEMENTS) or clause.sentence != sentence
        aside = not (speaks or after_kept) or (clause.kept and antecedents.known)
        antecedents.note(grammar.translate((*clause.words, *clause.extra), ordered=False), aside=aside)
        after_kept = clause.kept
        if operation in (*_STATEMENTS, "on", "remove"):
            frame = here[0].frame
            antecedents.note_subject(frame.new if operation in ("on", "statement") else frame.old)
        sentence = clause.sentence
        found += [replace(reading, sentence=sentence) for reading in here]
    return _chosen(found)


def _chosen(found: list[Reading]) -> list[Reading]:
    """Statements give way to descriptions and these to what is asked for; what is said twice is one edit."""
    asked = [reading for reading in found if reading.frame.operation not in ("describe", *_LAST, *_STATEMENTS)]
    asked_in = {reading.sentence for reading in asked}
    described = [reading for reading in found if reading.frame.operation == "describe"]
    targets = {reading.meaning.target for reading in asked}
    sure = [r for r in described if r.meaning.confidence >= _SURE and r.meaning.target not in targets]
    complaints = [reading for reading in found if reading.frame.operation in _LAST]
    if any(reading.refers for reading in asked):
        asked = [reading for reading in asked if reading.refers or reading.frame.operation not in ("on", "in")]
    if asked:
        if any(r.meaning.confidence >= 0.8 for r in asked):
            asked = [r for r in asked if r.meaning.confidence > GUESS]
        plain = [r for r in asked if not r.frame.rule.startswith("no ")]
        asked = plain or asked  # "no props, no text" after what to do
        kept = [r for r in found if r in asked or (r in sure and r.sentence in asked_in)]
    else:
        kept = sure or complaints or described[:1] or found[:1]
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
    if last and last.meaning.category == "removal" and _takes_its_place(reading, last):
        target, meaning = last.meaning.target, reading.meaning
        new = replace(meaning, category=meaning.category if meaning.category == "clothes" else "object", target=target)
        chosen[-1] = replace(reading, meaning=new)
        return
    key = (reading.meaning.category, reading.meaning.target)
    if key not in [(other.meaning.category, other.meaning.target) for other in chosen]:
        chosen.append(reading)


def _takes_its_place(reading: Reading, removed: Reading) -> bool:
    """ "lose the hoodie, put her in a blazer", "take out the bench and put a swing there"."""
    gone, meaning = Phrase(removed.frame.old), reading.meaning
    if meaning.category == "clothes":
        new = Phrase(tuple(meaning.prompt.split()))
        unsure = meaning.target in ("clothes", meaning.prompt) or not new.kinds & GARMENTS
        return gone.is_any(GARMENTS) and bool(unsure or gone.kinds & new.kinds & GARMENTS)
    there = meaning.target == removed.meaning.target or bool(_THERE & set(reading.frame.place))
    return meaning.category == "object" and there


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
