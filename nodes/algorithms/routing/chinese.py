"""Chinese: no spaces, so the longest known words are taken one after another; then constructions as elsewhere."""

import re

from .grammar import load_grammar, load_sections
from .lexicon import particles
from .translation import dictionary

_PARTICLES = particles("chinese_particles")
_BEHIND = frozenset({"后面", "背后", "前面", "身后", "旁边", "左边", "右边"})
_RUN = re.compile(r"p?[\u4e00-\u9fff]+")
_LONGEST = 8


def _vocabulary() -> frozenset[str]:
    """All words of the dictionary and of the constructions."""
    written = (word for section in load_sections("zh").values() for word in _RUN.findall(section))
    return frozenset(dictionary("zh").entries) | _PARTICLES | frozenset(written)


_VOCABULARY = _vocabulary()


def words(tokens: list[str]) -> list[str]:
    """Runs of characters cut into words, longest match first; unknown characters stay together."""
    found: list[str] = []
    for token in tokens:
        found += _cut(token) if re.search(r"[\u3400-\u9fff]", token) else [token]
    return found


def _cut(run: str) -> list[str]:
    found, unknown, index = [], "", 0
    while index < len(run):
        for size in range(min(_LONGEST, len(run) - index), 0, -1):
            if run[index : index + size] in _VOCABULARY:
                found += [unknown, run[index : index + size]] if unknown else [run[index : index + size]]
                unknown, index = "", index + size
                break
        else:
            unknown += run[index]
            index += 1
    return [*found, unknown] if unknown else found


def _translate(phrase: tuple[str, ...], *, ordered: bool = True) -> tuple[str, ...]:
    """English; "的" only joins: "红色的连衣裙" -> "red dress", "图 里 的 夹克" -> "jacket"."""
    phrase = tuple(
        word
        for word in phrase
        if word not in ("一下", "了", "着", "上", "里", "中", "身上", "头上", "脸上", "在", "位", "面")
    )
    phrase = (
        phrase[2:]
        if len(phrase) > 2 and phrase[0] in _BEHIND and phrase[1] == "的"
        else phrase[1:]
        if len(phrase) > 1 and phrase[0] == "后面的"
        else phrase
    )
    if "的" in phrase:
        last = len(phrase) - 1 - phrase[::-1].index("的")
        if last == len(phrase) - 1:
            phrase = phrase[:last]
        phrase = tuple(word for word in phrase if word != "的")
    return dictionary("zh").translate(phrase, ordered=ordered)


GRAMMAR = load_grammar("zh", words=words, translate=_translate, joins="并 然后 和 再 同时 并且", trust=0.95)
