"""Which language a wish is in, by its words."""

import re
from functools import lru_cache

from . import lexicon
from .grammar import Grammar
from .text import sentences
from .translation import dictionary, plain

_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_OTHER_SCRIPTS = re.compile(
    r"[\u3040-\u30ff\uac00-\ud7af\u0400-\u04ff\u0370-\u03ff\u0590-\u06ff\u0900-\u0dff\u0e00-\u0e7f]"
)
# Words that are of the language alone among these, or nearly.
_COMMON = {language: lexicon.particles(f"common_{language}") for language in ("en", "es", "fr", "de")}


def language_of(text: str) -> str:
    """ "en", "es", "fr", "de", "zh", or "" for a script that no rules are written for. Of a normalised text."""
    if _OTHER_SCRIPTS.search(text):
        return ""
    if _CHINESE.search(text):
        return "zh"
    tokens = [token for sentence in sentences(text)[:6] for token in sentence[:30]]
    parts = [part for token in tokens for part in re.split(r"['-]", token) if part]
    scores = {language: _score(parts, language) for language in ("en", "es", "fr", "de")}
    return max(scores, key=scores.get)


def _score(parts: list[str], language: str) -> float:
    words = [plain(part, language) for part in parts] if language != "en" else parts
    common = sum(word in _COMMON[language] for word in words)
    if language == "en":
        return common + sum(bool(lexicon.english().classes(word)) for word in words) + 0.5
    accents = sum(part != word for part, word in zip(parts, words, strict=True))
    return common + sum(word in dictionary(language) and word not in _COMMON[language] for word in words) + accents


@lru_cache(maxsize=8)
def grammar_of(language: str) -> Grammar:
    """The rules of a language; English for one without. Read when first asked for."""
    if language in ("es", "fr"):
        from . import romance

        return romance.SPANISH if language == "es" else romance.FRENCH
    if language == "de":
        from . import german

        return german.GRAMMAR
    if language == "zh":
        from . import chinese

        return chinese.GRAMMAR
    from . import english

    return english.GRAMMAR
