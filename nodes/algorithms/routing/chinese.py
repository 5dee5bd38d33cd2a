"""Chinese: no spaces, so the longest known words are taken one after another; then constructions as elsewhere."""

import re

from .grammar import load_grammar, load_sections
from .lexicon import particles
from .translation import dictionary

_PARTICLES = particles("chinese_particles")
_PLACES = frozenset(
    ["后面", "背后", "前面", "身后", "旁边", "左边", "右边", "边上", "上", "里", "中", "下面", "上面", "手里", "手上"]
    + [
        "后面的",
        "前面的",
        "中间",
        "身上",
        "头上",
        "脸上",
        "墙上",
        "桌上",
        "地上",
        "里面",
        "外面",
        "门口",
        "窗边",
        "路边",
    ]
    + ["图里", "图中", "照片里", "画面里", "后"]
)
_THAT_ONE = frozenset(
    ["那个", "那辆", "那只", "那件", "那把", "那张", "那条", "那些", "那位", "那盏", "那座", "那棵", "那双"]
)
_EMPTY = frozenset(["一下", "了", "着", "上", "里", "中", "身上", "头上", "脸上", "在", "位", "面"])
_RUN = re.compile(r"p?[\u4e00-\u9fff]+")
_LONGEST = 8


def _vocabulary() -> frozenset[str]:
    """All words of the dictionary and of the constructions."""
    written = (word for section in load_sections("zh").values() for word in _RUN.findall(section))
    return frozenset(dictionary("zh").entries) | _PARTICLES | _PLACES | _THAT_ONE | frozenset(written)


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


def _thing(phrase: tuple[str, ...]) -> tuple[str, ...]:
    """Without where it is: "床 后面的 墙", "沙发 上 的 猫", "门口 那辆 车" are a wall, a cat and a car."""
    for index in range(len(phrase) - 1, 0, -1):
        if phrase[index] in _THAT_ONE and index + 1 < len(phrase) and phrase[index - 1] != "的":
            return phrase[index + 1 :]
        before = phrase[index - 1] if phrase[index] == "的" else phrase[index]
        ends = phrase[index] == "的" or phrase[index].endswith("的")
        if ends and before in _PLACES and index + 1 < len(phrase):
            return phrase[index + 1 :]
    return phrase


def _translate(phrase: tuple[str, ...], *, ordered: bool = True) -> tuple[str, ...]:
    """English; "的" only joins: "红色的连衣裙" -> "red dress", "图 里 的 夹克" -> "jacket"."""
    phrase = tuple(word for word in _thing(phrase) if word not in _EMPTY)
    return dictionary("zh").translate(tuple(word for word in phrase if word != "的"), ordered=ordered)


GRAMMAR = load_grammar("zh", words=words, translate=_translate, joins="并 然后 和 再 同时 并且", trust=0.95)
