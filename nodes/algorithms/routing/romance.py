"""Spanish and French: verbs first, adjectives after the noun, pronouns hung onto the verb."""

import re

from .grammar import load_grammar
from .translation import dictionary, plain

_CLITICS = re.compile(
    r"(pon|quita|cambia|haz|da|viste|vista|prueba|pinta|borra|elimina|convierte|transforma|deja|mete|coloca|anade|agrega|tine|saca|reemplaza|sustituye|vuelve|abre|cierra|alisa|poner|quitar|cambiar)(se)?(le|lo|la|les|los|las|me|nos)"
)
_SOFTENING = frozenset({"mejor", "quizas", "tambien", "plutot", "aussi", "peut-etre"})
_ELISIONS = {"l": "le", "d": "de", "qu": "que", "j": "je", "n": "ne", "s": "si", "m": "me", "c": "ce"}
_HYPHENS = frozenset(["lui", "leur", "moi", "le", "la", "les", "nous", "en", "y", "toi", "vous", "tu", "on", "il"])


def spanish_words(tokens: list[str]) -> list[str]:
    """Without accents, "al" and "del" in two words, pronouns off the verb ("ponle"), compounds joined."""
    found: list[str] = []
    for token in tokens:
        word = plain(token, "es")
        verb = _CLITICS.fullmatch(word)
        if verb:
            found += [verb[1], *([verb[3]] if verb[3] else [])]
        elif word in ("al", "del"):
            found += ["a" if word == "al" else "de", "el"]
        else:
            found.append(word)
    return _joined([word for word in found if word not in _SOFTENING], "es")


def french_words(tokens: list[str]) -> list[str]:
    """Without accents, elisions in full ("l'homme"), "du" and "au" in two words, pronouns off the verb."""
    found: list[str] = []
    for token in tokens:
        word = plain(token, "fr").replace("œ", "oe")
        start, mark, rest = word.partition("'")
        if mark and start in _ELISIONS and rest:
            found += [_ELISIONS[start], rest]
            continue
        verb, mark, pronoun = word.rpartition("-")
        if mark and pronoun in _HYPHENS:
            found += [*verb.split("-"), pronoun]
        elif word in ("du", "au"):
            found += ["de" if word == "du" else "a", "le"]
        else:
            found.append(word)
    return _joined([word for word in found if word not in _SOFTENING], "fr")


def _joined(words: list[str], language: str) -> list[str]:
    compounds = dictionary(language).compounds
    found, index = [], 0
    while index < len(words):
        for parts in compounds.get(words[index], ()):
            if tuple(words[index : index + len(parts)]) == parts:
                found.append("_".join(parts))
                index += len(parts)
                break
        else:
            found.append(words[index])
            index += 1
    return found


SPANISH = load_grammar(
    "es",
    words=spanish_words,
    translate=dictionary("es").translate,
    joins="y e luego pero despues tambien",
    trust=0.95,
)
FRENCH = load_grammar(
    "fr", words=french_words, translate=dictionary("fr").translate, joins="et puis ensuite mais", trust=0.95
)
