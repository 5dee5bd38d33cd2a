"""A picture of a few sentences, for a node that has words to show and no photo."""

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

_WIDTH = 640  # pixels
_LETTERS = 24  # pixels
_MARGIN = 20  # pixels
_PAPER, _INK = (38, 38, 42), (225, 225, 225)


def draw(paragraphs: list[str]) -> torch.Tensor:
    """``paragraphs`` one below the other, the first one brighter: an image [1, H, 640, 3] in 0..1."""
    font = ImageFont.load_default(_LETTERS)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    broken = [_lines(paragraph, pen, font) for paragraph in paragraphs]
    step = round(_LETTERS * 1.35)
    height = 2 * _MARGIN + step * sum(map(len, broken)) + (step // 3) * max(0, len(broken) - 1)
    card = Image.new("RGB", (_WIDTH, height), _PAPER)
    pen = ImageDraw.Draw(card)
    top = _MARGIN
    for number, lines in enumerate(broken):
        for line in lines:
            pen.text((_MARGIN, top), line, fill=_INK if number else (255, 255, 255), font=font)
            top += step
        top += step // 3
    return torch.from_numpy(np.asarray(card, dtype=np.float32) / 255)[None]


def _lines(text: str, pen: ImageDraw.ImageDraw, font) -> list[str]:
    """``text`` broken so that each line fits: between words, and inside one that is wider than the card."""
    room = _WIDTH - 2 * _MARGIN
    lines = [""]
    for word in text.split():
        while word:
            trial = f"{lines[-1]} {word}".strip()
            if pen.textlength(trial, font=font) <= room:
                lines[-1], word = trial, ""
            elif lines[-1]:
                lines.append("")
            else:  # a word wider than the card
                fits = 1
                while pen.textlength(word[: fits + 1], font=font) <= room:
                    fits += 1
                lines[-1], word = word[:fits], word[fits:]
    return lines
