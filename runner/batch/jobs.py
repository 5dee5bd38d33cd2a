"""From rows, sweeps and what holds for all of them to jobs; nothing is loaded, everything wrong is listed."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .names import Names, Template
from .sweeps import grid
from .table import Problem, Row, invalid
from .tasks import MASK, NAME, RANDOM, Cell, Reading, Task

_SEED_BITS = 53  # what the editor, in JavaScript, holds exactly
_ROWS_SHOWN = 5


@dataclass
class Job:
    """One job. ``identity`` is the same in another run when the cells are, wherever in the table they stand."""

    number: int
    row: Row
    settings: dict[str, Any]
    pictures: dict[str, Path]
    written: dict[str, str]
    swept: dict[str, Any]
    identity: str
    label: str
    cells: dict[str, Any] = field(default_factory=dict)
    stem: str = ""

    def is_picture(self, column: str) -> bool:
        """Whether the column's cell is the path of a picture."""
        return str(self.cells[column]).strip() in self.written.values()

    def draw(self, batch: str) -> dict[str, Any]:
        """The settings with seeds in the place of ``random``: the same each time in the same ``batch``."""
        return {name: self._seed(batch, name) if value == RANDOM else value for name, value in self.settings.items()}

    def _seed(self, batch: str, name: str) -> int:
        digest = hashlib.sha256(f"{batch} {self.identity} {name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> (64 - _SEED_BITS)


def plan_jobs(
    task: Task, source: str, rows: list[Row], sweeps: Mapping[str, list[Any]], fixed: Mapping[str, Any]
) -> list[Job]:
    """A job for each row and combination of ``sweeps``, row by row; ``fixed`` is for cells that are empty.

    Raises ``InputError`` ``table_invalid`` with all that is wrong with the rows of ``source``, and ``option_invalid``.
    """
    points = grid(sweeps, len(rows))
    problems = _unknown_columns(task, rows, sweeps, fixed)
    shared = {name: Cell(value) for name, value in fixed.items()}
    known = {
        column
        for column in {name for row in rows for name in row.values} | {*sweeps, *fixed}
        if not task.unknown(column)
    }
    jobs: list[Job] = []
    seen: Counter[str] = Counter()
    for row in rows:
        own = {name: Cell(value, row.folder) for name, value in row.values.items()}
        told: set[tuple[str, str]] = set()
        twice = sorted(sweeps.keys() & own.keys())
        told |= {(name, f"'{name}' is swept and has a cell, too.") for name in twice}
        for point in points:
            swept = {name: Cell(value) for name, value in point.items()}
            cells = {name: cell for name, cell in (shared | own | swept).items() if name in known}
            reading = task.read(cells)
            told |= set(reading.problems)
            if not told:
                jobs.append(_job(task, len(jobs) + 1, row, reading, point, cells, seen))
        problems += [Problem(row.number, column, f"{row.place}: {text}") for column, text in sorted(told)]
    if problems:
        raise invalid(source, problems)
    return jobs


def _unknown_columns(task: Task, rows: list[Row], *others: Mapping[str, Any]) -> list[Problem]:
    places: dict[str, list[int]] = {}
    for row in rows:
        for column in row.values:
            places.setdefault(column, []).append(row.number)
    for column in (name for other in others for name in other):
        places.setdefault(column, [])
    problems = []
    for column, numbers in places.items():
        if why := task.unknown(column):
            shown = ", ".join(map(str, numbers[:_ROWS_SHOWN])) + (", ..." if len(numbers) > _ROWS_SHOWN else "")
            where = f"Column '{column}' (row {shown})" if numbers else f"'{column}'"
            problems.append(Problem(numbers[0] if numbers else 0, column, f"{where}: {why}"))
    return problems


def _job(
    task: Task, number: int, row: Row, reading: Reading, point: dict[str, Any], cells: dict[str, Cell], seen: Counter
) -> Job:
    content = json.dumps([task.fingerprint, reading.settings, reading.written], sort_keys=True, default=str)
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()[:24]
    seen[digest] += 1
    identity = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"  # equal rows are a job each
    pictures = [path for name, path in reading.pictures.items() if name != MASK]
    label = str(row.values.get(NAME) or (pictures[0].stem if pictures else task.name))
    raw = {name: cell.value for name, cell in cells.items()}
    return Job(number, row, reading.settings, reading.pictures, reading.written, point, identity, label, raw)


def name_jobs(task: Task, jobs: list[Job], template: str, batch: str) -> None:
    """Give every job the name of its files, without ending. Raises ``InputError`` ``option_invalid``."""
    columns = {name: None for job in jobs for name in job.cells}
    swept = list(jobs[0].swept) if jobs else []
    if not template:
        template = "-".join(["{row}", "{name}", *(f"{name}{{{name}}}" for name in swept)])
    fields = list(dict.fromkeys(["row", NAME, "seed", *columns]))
    pattern, names = Template(template, fields), Names()
    digits = max(4, len(str(max((job.row.number for job in jobs), default=0))))
    for job in jobs:
        drawn = job.draw(batch)
        values = {name: Path(value).stem if job.is_picture(name) else value for name, value in job.cells.items()}
        values |= {"row": str(job.row.number).zfill(digits), NAME: job.label}
        seed = drawn.get("seed", task.default_seed())
        job.stem = names.take(pattern.fill(values | {"seed": seed}))
