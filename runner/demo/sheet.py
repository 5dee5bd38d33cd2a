"""The demo's pictures before and after, on one sheet."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from ..pictures import output_files

if TYPE_CHECKING:
    from ..editing import EditResult

_GAP = 12
_CAPTION = 34
_FONT_SIZE = 20


def save_sheet(path: Path, edits: "list[tuple[str, EditResult]]") -> None:
    """Write a row for each edit to ``path``: its wish, the picture before, the picture after."""
    rows = [(wish, result.photo.rgb, result.image.convert("RGB")) for wish, result in edits]
    width = max(before.width + after.width for _, before, after in rows) + 3 * _GAP
    sheet = Image.new("RGB", (width, sum(before.height + _CAPTION + _GAP for _, before, _ in rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(_FONT_SIZE)
    top = 0
    for wish, before, after in rows:
        draw.text((_GAP, top + _CAPTION // 2), wish, fill="black", font=font, anchor="lm")
        sheet.paste(before, (_GAP, top + _CAPTION))
        sheet.paste(after, (before.width + 2 * _GAP, top + _CAPTION))
        top += before.height + _CAPTION + _GAP
    data, _ = output_files.encode(sheet, path.suffix, {})
    output_files.write(path, data)
