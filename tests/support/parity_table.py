"""The table of differences to diffusers and transformers: as lines of a test run, and in docs/parity.md."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "parity.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEADINGS = ("what", "case", "max abs difference", "its own effect")


class Row(NamedTuple):
    """``difference`` is the largest to the oracle; ``effect`` the largest that the thing itself makes, None if n/a."""

    what: str
    case: str
    difference: float
    effect: float | None = None

    def cells(self) -> tuple[str, ...]:
        return self.what, self.case, f"{self.difference:.1e}", "" if self.effect is None else f"{self.effect:.2g}"


def text(rows: list[Row]) -> list[str]:
    """Aligned lines, none for no rows."""
    if not rows:
        return []
    cells = [HEADINGS, *grouped([row.cells() for row in rows])]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = ["Max abs difference to diffusers and transformers, same seeded weights, fp32, CPU:"]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return lines


def grouped(lines: Iterable[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """``Row.cells``, those of one thing one after the other."""
    lines = list(lines)
    things = list(dict.fromkeys(cells[0] for cells in lines))
    return sorted(lines, key=lambda cells: things.index(cells[0]))


def markdown(lines: list[tuple[str, ...]]) -> str:
    """A table of ``Row.cells``, which names each thing once."""
    out = [f"| {' | '.join(heading.capitalize() for heading in HEADINGS)} |", "|---|---|---:|---:|"]
    for what, group in groupby(lines, key=lambda cells: cells[0]):
        for index, cells in enumerate(group):
            out.append(f"| {' | '.join(('' if index else what, *cells[1:]))} |".replace("|  |", "| |"))
    return "\n".join(out)


def write(rows: list[Row]) -> None:
    """Put ``rows`` into the table of docs/parity.md, in place of those of the same name; others stay."""
    found = {cells[:2]: cells for cells in listed()} | {row[:2]: row.cells() for row in rows}
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{markdown(grouped(found.values()))}\n{END}{after}", encoding="utf-8")


def listed() -> list[tuple[str, ...]]:
    """``Row.cells`` of every row of docs/parity.md."""
    found, what = [], ""
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    for line in table.strip().splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        what = cells[0] or what
        found.append((what, *cells[1:]))
    return found
