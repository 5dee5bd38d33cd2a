"""A wish as clauses: where one edit ends and the next begins, and what is said to stay as it is."""

import re
from dataclasses import dataclass, replace

from .grammar import Grammar
from .lexicon import particles
from .noun_phrases import DETERMINERS, FACE, LOOKS, NOUNS, classes
from .patterns import line_of
from .text import LONGEST_CLAUSE, sentences

Words = tuple[str, ...]

_SKIPPED = particles("skipped_before_a_verb")
# Verbs that are nouns or adjectives as often: they begin a clause where an article or a pronoun follows.
_AMBIGUOUS = particles("verbs_or_nouns")
_STAYS = re.compile(
    r"\b(?:stays?|remains?|untouched|unchanged|unaltered|intact|as (?:it|they|he|she|that|those) (?:is|are|was|were)|"
    r"as is|may change|should change|has to stay|must not change|same (?:pose|way|stance|shape|lighting))\b"
)

_CLAUSE_WORDS = frozenset(
    {"would", "should", "shall", "must", "gone", "removed", "painted", "instead", "becomes", "needs", "need"}
)

_SUBJECTS = frozenset({"it", "that", "this", "they", "these", "those", "he", "she"})
_OPENINGS = frozenset(
    {
        ("any", "chance"),
        ("any", "way"),
        ("is", "there"),
        ("how", "about"),
        ("what", "about"),
        ("what", "if"),
        ("no", "more"),
    }
)
_ARTICLES = frozenset({"the", "a", "an", "my", "his", "her", "our", "their"})
_MODALS = frozenset({"should", "shouldn't", "must", "needs", "need", "has", "have", "can", "could", "ought", "would"})

# After these a comma divides no edits: "instead of the sofa, put a bench".
_INSTEAD = frozenset(
    {("instead", "of"), ("in", "place"), ("rather", "than"), ("en", "lugar"), ("en", "vez"), ("a", "la"), ("a", "le")}
)


@dataclass(frozen=True)
class Clause:
    """The words of one clause; ``extra``: descriptions after commas; ``kept``: it is about what shall stay."""

    words: Words
    extra: Words = ()
    hard: bool = True
    kept: bool = False
    sentence: int = 0


def clauses_of(text: str, grammar: Grammar) -> list[Clause]:
    """The clauses of a normalised text that are not about what shall stay."""
    found: list[Clause] = []
    for number, sentence in enumerate(sentences(text)):
        for hard, words in _pieces(grammar.words(sentence), grammar):
            words = words[:LONGEST_CLAUSE]
            last = found[-1] if found else None
            if _is_kept(words, grammar):
                found.append(Clause(words, kept=True, sentence=number))
            elif hard or last is None or last.sentence != number or not any(not clause.kept for clause in found):
                found.append(Clause(words, hard=hard, sentence=number))
            elif not last.kept:
                found[-1] = replace(last, extra=(*last.extra, ",", *words))
    return found


def _is_kept(words: Words, grammar: Grammar) -> bool:
    line = line_of(words)
    opener = grammar.openers.match(line)
    inner = line[opener.end() :] if opener else line
    if not inner.strip() or (len(words) <= 3 and words[-1] == "only"):
        return True
    if grammar.kept.match(inner) or grammar.kept.match(line):
        return not _is_wish_after_all(inner)
    return bool(_STAYS.search(inner)) and inner.split()[0] not in grammar.starters - {
        "it",
        "he",
        "she",
        "they",
        "the",
        "you",
    }


def _is_wish_after_all(line: str) -> bool:
    """ "without the seagull", "don't want the car", "leave out the car": a removal in spite of its first word."""
    first, _, rest = line.partition(" ")
    second = rest.partition(" ")[0]
    if first == "without":
        return not second.endswith("ing")
    if first in ("don't", "not"):
        return second in ("want", "need", "like")
    if first == "same":
        return " but " in line or " in " in line
    return (
        first == "leave"
        and " out " in line
        or first == "match"
        and " the lighting " not in line
        and "match the " not in line[:0]
    )


def _pieces(words: list[str], grammar: Grammar) -> list[tuple[bool, Words]]:
    """(whether it begins like a clause of its own, its words) of the pieces between commas and conjunctions."""
    pieces: list[tuple[bool, list[str]]] = [(True, [])]
    index = 0
    while index < len(words):
        word = words[index]
        if word == "," and _adjectives(pieces[-1][1], words, index):
            pass
        elif word == "," and words[index + 1 : index + 2] == ["into"]:
            pass  # "get me out of that anorak, into a coat"
        elif word == "," and tuple(pieces[-1][1][:2]) in _INSTEAD:
            pieces[-1][1].append(word)
        elif word in (",", ":") and not _is_label(pieces[-1][1], words, index, grammar):
            hard = _begins_clause(words, index + 1, grammar) or _is_small_clause(words, index + 1, pieces[-1][1])
            pieces.append((hard, []))
        elif (
            word == "plus"
            or word in grammar.joins
            and (_begins_clause(words, index + 1, grammar) or words[index - 1] in grammar.enders)
        ):
            pieces.append((True, []))
        elif word == "but" and _but_describes(words, index):
            if pieces[-1][1] or len(pieces) == 1:
                pieces[-1][1].extend([",", "but"])
            else:
                pieces.pop()
                pieces[-1][1].extend([",", "but"])
        elif word == "but" and index:
            pieces.append((True, []))
        elif word in ("without", "leaving", "keeping", "except") and index and _gerund(words, index + 1):
            pieces.append((True, [word]))
        else:
            pieces[-1][1].append(word)
        index += 1
    return [(hard, tuple(piece)) for hard, piece in pieces if piece]


def _adjectives(piece: list[str], words: list[str], index: int) -> bool:
    """ "a dark, moody background": a comma between what describes one noun."""
    start = len(piece)
    while start and piece[start - 1] not in DETERMINERS:
        start -= 1
    before = piece[start:]
    following = words[index + 1] if index + 1 < len(words) else ""
    looks = [word for word in before if classes(word) & LOOKS and not classes(word) & NOUNS]
    return bool(before) and len(looks) == len(before) and bool(classes(following) & LOOKS or classes(following) & NOUNS)


def _is_small_clause(words: list[str], index: int, before: list[str]) -> bool:
    """ "the shoes gone", "the doors white", "and the shutters should be blue", "(red lips,) blond hair"."""
    end = next((i for i in range(index, len(words)) if words[i] == ","), len(words))
    piece = [word for word in words[index:end] if word != "and"]
    if not piece:
        return False
    if _CLAUSE_WORDS & set(piece) or piece[0] == "no":
        return True
    turn = next((i for i, word in enumerate(piece) if word in ("to", "in", "into")), 0)
    if (
        0 < turn <= 3
        and len(piece) <= 6
        and classes(piece[turn - 1]) & NOUNS
        and classes(piece[-1]) & {"colour", "material"}
    ):
        return True  # "napkin to rust", "ear cushions in suede"
    if piece[0] in ("the", "my", "her", "his", "our") and len(piece) > 2:
        last = classes(piece[-1])
        return bool(last & LOOKS) and not last & NOUNS and any(classes(word) & NOUNS for word in piece[1:-1])
    both = [[words_ for words_ in part if words_ not in DETERMINERS] for part in (before, piece)]
    return all(2 <= len(part) <= 3 and classes(part[-1]) & FACE and classes(part[0]) & LOOKS for part in both)


def _gerund(words: list[str], index: int) -> bool:
    return words[index - 1] != "without" or (index < len(words) and words[index].endswith("ing"))


def _but_describes(words: list[str], index: int) -> bool:
    """ "phone case, but mint", "her, but in a turtleneck"."""
    following = words[index + 1] if index + 1 < len(words) else ""
    return following in ("in", "with") or bool(
        classes(following) & (LOOKS - {"degree"}) and not classes(following) & {"other"}
    )


def _is_label(piece: list[str], words: list[str], index: int, grammar: Grammar) -> bool:
    """ "bench: mossy stone": a colon after a short name of a thing."""
    if words[index] != ":" or not piece or len(piece) > 4 or _begins_clause(words, index + 1, grammar):
        return False
    if _MODALS & set(words[index + 1 : index + 8]):
        return False
    return bool(classes(piece[-1]) & NOUNS) and piece[-1] not in ("shot", "photo", "picture", "image")


def _is_verb_before_a_thing(words: list[str], index: int) -> bool:
    """ "and varnish the gate": an unknown word before an article."""
    following = words[index + 1] if index + 1 < len(words) else ""
    return following in _ARTICLES and words[index].isalpha() and not classes(words[index])


def _verb_follows(words: list[str], index: int, grammar: Grammar) -> bool:
    """ "tu peux les effacer", "puedes quitarlo", "den bitte wegretuschieren": verbs that do not come first."""
    end = next((i for i in range(index, len(words)) if words[i] == ","), len(words))
    piece = words[index:end]
    last = piece[-1] if piece else ""
    return last in grammar.enders or any(len(word) > 3 and word in grammar.starters for word in piece[1:4])


def _begins_clause(words: list[str], index: int, grammar: Grammar) -> bool:
    while index < len(words) and words[index] in _SKIPPED:
        index += 1
    if index >= len(words):
        return False
    if tuple(words[index : index + 2]) in _OPENINGS:
        return True
    if words[index] in _SUBJECTS and index + 1 < len(words) and words[index + 1] in _MODALS:
        return True
    if words[index] not in grammar.starters:
        if grammar.language != "en":
            return _verb_follows(words, index, grammar)
        return _is_verb_before_a_thing(words, index)
    if words[index] not in _AMBIGUOUS:
        return True
    following = words[index + 1] if index + 1 < len(words) else ""
    return following in DETERMINERS or following in (
        "him",
        "her",
        "it",
        "them",
        "me",
        "up",
        "us",
        "in",
        "out",
        "off",
        "what's",
    )
