"""All results at a glance: JPEG pages of labelled thumbnails."""

import contextlib
import io
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..pictures import output_files

COLUMNS, ROWS = 5, 6
PAGE = re.compile(r"contact-sheet-[0-9]+\.jpg", re.IGNORECASE)
_CELL, _GAP, _LABEL, _TITLE = 240, 16, 40, 48
_PAPER, _INK, _FAINT, _FAILED = "#ffffff", "#1c1c1e", "#6e6e73", "#b3261e"
_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf")


@dataclass(frozen=True)
class Cell:
    """One job on the sheet; without a ``thumbnail`` its place says ``missing``."""

    title: str
    detail: str
    thumbnail: Path | None
    missing: str = ""


def write_sheets(folder: Path, title: str, cells: list[Cell]) -> list[Path]:
    """Write ``contact-sheet-1.jpg`` and so on, and remove those of a longer batch before; the pages' paths.

    Raises ``InputError`` ``output_unwritable``.
    """
    per_page = COLUMNS * ROWS
    pages = [cells[start : start + per_page] for start in range(0, len(cells), per_page)]
    digits = len(str(len(pages)))
    paths = []
    for number, page in enumerate(pages, 1):
        first = (number - 1) * per_page + 1
        place = f"{title}: {first} to {first + len(page) - 1} of {len(cells)}"
        buffer = io.BytesIO()
        _draw(page, place).save(buffer, "JPEG", quality=88)
        paths.append(folder / f"contact-sheet-{str(number).zfill(digits)}.jpg")
        output_files.write(paths[-1], buffer.getvalue())
    for stale in set(folder.glob("contact-sheet-*.jpg")) - set(paths):
        if PAGE.fullmatch(stale.name):
            stale.unlink(missing_ok=True)
    return paths


def _draw(cells: list[Cell], title: str) -> Image.Image:
    columns = min(COLUMNS, max(len(cells), 2))
    rows = -(-len(cells) // columns)
    step_x, step_y = _CELL + _GAP, _CELL + _LABEL + _GAP
    page = Image.new("RGB", (_GAP + columns * step_x, _TITLE + rows * step_y), _PAPER)
    draw = ImageDraw.Draw(page)
    bold, small = _font(18), _font(13)
    draw.text((_GAP, _GAP), _fit(draw, title, bold, page.width - 2 * _GAP), _INK, bold)
    for place, cell in enumerate(cells):
        left, top = _GAP + place % columns * step_x, _TITLE + place // columns * step_y
        _draw_picture(page, draw, cell, left, top, small)
        below = top + _CELL + 4
        draw.text((left, below), _fit(draw, cell.title, small, _CELL), _INK, small)
        draw.text((left, below + 17), _fit(draw, cell.detail, small, _CELL), _FAINT, small)
    return page


def _draw_picture(page: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, left: int, top: int, font) -> None:
    thumbnail = _open(cell.thumbnail)
    if thumbnail is not None:
        thumbnail.thumbnail((_CELL, _CELL))
        page.paste(thumbnail, (left + (_CELL - thumbnail.width) // 2, top + (_CELL - thumbnail.height)))
        return
    draw.rectangle((left, top, left + _CELL - 1, top + _CELL - 1), outline="#d2d2d7", fill="#f5f5f7")
    text = _fit(draw, cell.missing, font, _CELL - 16)
    draw.text((left + _CELL / 2, top + _CELL / 2), text, _FAILED, font, anchor="mm")


def _open(path: Path | None) -> Image.Image | None:
    if path is not None:
        with contextlib.suppress(OSError, SyntaxError, ValueError), Image.open(path) as image:
            return image.convert("RGB")
    return None


def _font(size: int):
    """A font with many scripts, if the system has one; Pillow's own has Latin letters alone."""
    for name in _FONTS:
        with contextlib.suppress(OSError):
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def _fit(draw: ImageDraw.ImageDraw, text: str, font, width: int) -> str:
    """``text`` on one line, cut with an ellipsis where it is wider than ``width`` pixels."""
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text[:400]).split())
    if draw.textlength(text, font) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if draw.textlength(f"{text[:middle]}…", font) <= width:
            low = middle
        else:
            high = middle - 1
    return f"{text[:low].rstrip()}…"
