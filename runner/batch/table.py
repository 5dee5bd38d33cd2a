"""The table of a batch: CSV as spreadsheets write it, JSON Lines, or a folder of pictures."""

import csv
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError

# What a folder is searched for; a path in a table may have any ending.
PICTURES = frozenset({".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".tga", ".ppm", ".avif", ".heic", ".jp2"})
PICTURES |= {".jpg", ".jpeg", ".jpe", ".jfif"}
_LINES = (".jsonl", ".ndjson")
_CELLS = (".csv", ".tsv", ".txt")
_DELIMITERS = (",", ";", "\t")
_HINT = "Give a .csv or .jsonl file, or a folder of pictures."
_MOST_PROBLEMS = 20
_COMMA_NUMBER = re.compile(r"-?\d+,\d+")


@dataclass(frozen=True)
class Row:
    """One row: ``number`` counts from 1 without the header, ``line`` is where it begins in the file (0: no file).

    ``values`` has the cells that are not empty, by column; pictures' paths are relative to ``folder``.
    """

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    folder: Path = Path()
    line: int = 0

    @property
    def place(self) -> str:
        """How messages call it."""
        return (
            f"Row {self.number} (line {self.line})" if self.line and self.line != self.number else f"Row {self.number}"
        )


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row, or with every row that has the ``column`` when ``row`` is 0."""

    row: int
    column: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        return {"row": self.row, "column": self.column, "message": self.message}


def invalid(source: str, problems: list[Problem], hint: str = "") -> InputError:
    """The error that lists all ``problems``."""
    lines = "".join(f"\n  - {problem.message}" for problem in problems[:_MOST_PROBLEMS])
    rest = len(problems) - _MOST_PROBLEMS
    more = f"\n  and {rest} more; --json lists all." if rest > 0 else ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    details = {"problems": [problem.as_dict() for problem in problems]}
    hint = hint or "Correct the table, then run it again: nothing was sent."
    return InputError("table_invalid", f"{source}: {count}.{lines}{more}\n", hint, details)


def read_table(source: str | Path) -> tuple[list[Row], list[str]]:
    """(rows, notes on how it was read) of the file or folder ``source``.

    CSV: separated by commas, semicolons or tabs, quoted or not, UTF-8 with or without a byte order mark, UTF-16 with
    one, or Windows-1252. Empty lines are left out, and so are empty cells; JSON Lines: null means empty. A folder
    gives a row ``{"image": name}`` for each picture in it, in natural order; its subfolders are not looked into.

    Raises ``InputError`` ``table_unreadable``, or ``table_invalid`` with all that is wrong.
    """
    path = Path(source)
    notes: list[str] = []
    if path.is_dir():
        rows = _read_folder(path)
    else:
        if path.suffix.lower() not in (*_LINES, *_CELLS):
            seen = f"a file of the kind '{path.suffix}'" if path.exists() else "missing"
            raise InputError("table_unreadable", f"The table '{path}' is {seen}.", _HINT)
        text = _read_text(path, notes)
        rows = (_read_lines if path.suffix.lower() in _LINES else _read_cells)(path, text)
    if not rows:
        what = "no picture" if path.is_dir() else "no row"
        raise InputError("table_unreadable", f"There is {what} in '{path}'.", _HINT)
    return rows, notes


def _read_folder(path: Path) -> list[Row]:
    try:
        names = [
            entry.name
            for entry in path.iterdir()
            if entry.suffix.lower() in PICTURES and not entry.name.startswith(".") and entry.is_file()
        ]
    except OSError as error:
        raise InputError("table_unreadable", f"The folder '{path}' cannot be read: {error.strerror}.", _HINT) from error
    names.sort(key=_natural)
    return [Row(number, {"image": name}, path) for number, name in enumerate(names, 1)]


def _natural(name: str) -> tuple:
    """``photo2`` before ``photo10``."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return tuple((part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts), name


def _read_text(path: Path, notes: list[str]) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputError("table_unreadable", f"The table '{path}' cannot be read: {error.strerror}.", _HINT) from error
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        if path.suffix.lower() in _LINES or b"\0" in raw:
            raise InputError("table_unreadable", f"The table '{path}' is not text: {error}.", _HINT) from error
        text = raw.decode("cp1252", errors="replace")
        notes.append(f"'{path}' is not UTF-8 and was read as Windows-1252; save it as 'CSV UTF-8' to be sure.")
    if "\0" in text:
        raise InputError("table_unreadable", f"The table '{path}' is not text: it holds zero bytes.", _HINT)
    return text


def _read_lines(path: Path, text: str) -> list[Row]:
    rows, problems = [], []
    for line, content in enumerate(re.split(r"\r\n|\n|\r", text), 1):  # splitlines() also splits inside texts
        if not content.strip():
            continue
        number = len(rows) + len(problems) + 1
        try:
            entry = json.loads(content)
            wrong = "" if isinstance(entry, dict) else f"is {content.strip()[:60]!r}, no JSON object"
        except (ValueError, RecursionError) as error:
            entry, wrong = {}, f"is not JSON: {error}"
        if wrong:
            problems.append(Problem(number, "", f"Row {number} (line {line}) {wrong}."))
            continue
        values = {name.strip(): value for name, value in entry.items() if value is not None}
        rows.append(Row(number, values, path.parent, line))
    if problems:
        raise invalid(str(path), problems, 'A row is like {"image": "a.jpg", "prompt": "blue car"}.')
    return rows


def _read_cells(path: Path, text: str) -> list[Row]:
    delimiter, text, skipped = _delimiter(path, text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header, rows, problems, begin = None, [], [], 1 + skipped
    try:
        for cells in reader:
            line, begin = begin, reader.line_num + 1 + skipped
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = _header(path, cells)
                continue
            row = Row(len(rows) + 1, {}, path.parent, line)
            stray = [cell for cell in cells[len(header) :] if cell.strip()]
            stray += [cell for name, cell in zip(header, cells, strict=False) if not name and cell.strip()]
            if stray:
                message = (
                    f"{row.place} has a cell without a column: {stray[0][:60]!r}. Quote cells that hold '{delimiter}'."
                )
                problems.append(Problem(row.number, "", message))
            pairs = zip(header, cells, strict=False)
            row.values.update((name, _cell(cell, delimiter)) for name, cell in pairs if name and cell.strip())
            rows.append(row)
    except csv.Error as error:
        line = reader.line_num + skipped
        raise InputError("table_unreadable", f"Line {line} of '{path}' is no CSV: {error}.", _HINT) from error
    if problems:
        raise invalid(str(path), problems)
    return rows


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        message = f"There are two columns '{twice[0]}'."
        raise invalid(str(path), [Problem(0, twice[0], message)], "Keep one of them.")
    return names


def _delimiter(path: Path, text: str) -> tuple[str, str, int]:
    """(what separates cells, the text after Excel's ``sep=`` line, how many lines that took)."""
    first, _, rest = text.partition("\n")
    if (told := re.fullmatch(r"sep=(.)\r?", first)) is not None:
        return told[1], rest, 1
    if path.suffix.lower() == ".tsv":
        return "\t", text, 0
    header = next((line for line in text.splitlines() if line.strip()), "")
    header = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=header.count), text, 0


def _cell(cell: str, delimiter: str) -> str:
    """Where semicolons separate cells, a comma is in the numbers of that spreadsheet: 7,5 is 7.5."""
    cell = cell.strip()
    return cell.replace(",", ".") if delimiter == ";" and _COMMA_NUMBER.fullmatch(cell) else cell
