"""Text that the editor fills in when it sends a workflow: ``{red|blue}``, ``%date:yyyy-MM-dd%``, ``%Node.widget%``."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

from .model import Node

Choose = Callable[[Sequence[str]], str]
"""Picks one of several texts, as ``random.choice`` does."""

SAVE_NODES = frozenset({
    "SaveImage", "SaveImageAdvanced", "SaveSVGNode", "SaveVideo", "SaveAnimatedWEBP", "SaveWEBM", "SaveAudio",
    "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced", "SaveGLB", "Save3DAdvanced", "SaveGaussianSplat",
    "SavePointCloud", "SaveAnimatedPNG", "CLIPSave", "VAESave", "ModelSave", "LoraSave", "SaveLatent",
})  # fmt: skip
"""Nodes whose ``filename_prefix`` is filled in."""

_COMMENTS = re.compile(r"/\*[\s\S]*?\*/|//.*")
_DATE = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyyy|yy")
_UNSAFE = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')
_DEEPEST = 50


def choose_words(text: str, choose: Choose, depth: int = 0) -> str:
    """``text`` without comments, and with one choice of each ``{a|b|{c|d}}``; ``\\{`` stays a brace."""
    text = _COMMENTS.sub("", text)
    if depth > _DEEPEST:
        return text
    parts, place = [], 0
    while place < len(text):
        char = text[place]
        if char == "\\":
            parts.append(text[place : place + 2])
            place += 2
        elif char == "{":
            options, place = _options(text, place + 1)
            parts.append(choose_words(choose(options), choose, depth + 1))
        else:
            parts.append(char)
            place += 1
    return re.sub(r"\\([{}|])", r"\1", "".join(parts))


def _options(text: str, place: int) -> tuple[list[str], int]:
    """(the choices up to the closing brace, the place behind it)."""
    options, depth = [""], 0
    while place < len(text):
        char = text[place]
        place += 1
        if char == "\\":
            options[-1] += char + text[place : place + 1]
            place += 1
            continue
        if char == "}" and depth == 0:
            break
        if char == "|" and depth == 0:
            options.append("")
            continue
        depth += {"{": 1, "}": -1}.get(char, 0)
        options[-1] += char
    return options, place


def fill_in(text: str, nodes: Iterable[Node], now: datetime) -> str:
    """``text`` with dates, and values of widgets by ``%<node name or title>.<widget>%``."""
    nodes = list(nodes)

    def replacement(match: re.Match) -> str:
        parts = match[1].split(".")
        if len(parts) != 2:
            return _date(parts[0].removeprefix("date:"), now) if parts[0].startswith("date:") else match[0]
        named = [node for node in nodes if _name(node) == parts[0]] or [
            node for node in nodes if node.title == parts[0]
        ]
        widget = named[0].widget(parts[1]) if named else None
        return match[0] if widget is None else _UNSAFE.sub("_", _as_text(widget.value))

    return re.sub(r"%([^%]+)%", replacement, text)


def _name(node: Node) -> str:
    default = "" if node.type in SAVE_NODES or not node.known else node.type
    return str(node.properties.get("Node name for S&R", default))


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, (str, int, float)) else ""


def _date(pattern: str, now: datetime) -> str:
    units = {"d": now.day, "M": now.month, "h": now.hour, "m": now.minute, "s": now.second}

    def part(match: re.Match) -> str:
        if match[0][0] == "y":
            return str(now.year)[-len(match[0]) :]
        return str(units[match[0][0]]).zfill(len(match[0]))

    return _DATE.sub(part, pattern)
