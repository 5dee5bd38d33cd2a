"""What became of a batch, and the files that tell it: failures.csv, the contact sheet and the report."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ImageineError
from ..pictures import output_files
from . import contact_sheet, thumbnails
from .jobs import Job
from .manifest import Entry

DONE, SKIPPED, FAILED, LEFT = "done", "skipped", "failed", "left"
FAILURES = "failures.csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass
class Outcome:
    """One job's end: ``done`` now, ``skipped`` being done before, ``failed``, or ``left`` for the next run."""

    job: Job
    state: str
    entry: Entry | None = None
    error: ImageineError | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """What the job was set to, its drawn seed included where it ran."""
        return self.entry.record.get("settings", self.job.settings) if self.entry else self.job.settings

    @property
    def seconds(self) -> float | None:
        return self.entry.record.get("seconds") if self.entry else None


@dataclass
class BatchResult:
    """A batch's end. ``seconds`` is the time of this run; paths are None where there is nothing to tell."""

    name: str
    folder: Path
    outcomes: list[Outcome]
    seconds: float
    notes: list[str] = field(default_factory=list)
    failures: Path | None = None
    sheets: list[Path] = field(default_factory=list)
    report: Path | None = None

    def count(self, state: str) -> int:
        return sum(outcome.state == state for outcome in self.outcomes)

    @property
    def is_complete(self) -> bool:
        """Whether every job is done, now or before."""
        return self.count(DONE) + self.count(SKIPPED) == len(self.outcomes)

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        counts = {state: self.count(state) for state in (DONE, SKIPPED, FAILED, LEFT)}
        return {
            "workflow": self.name,
            "folder": str(self.folder),
            "jobs": len(self.outcomes),
            **counts,
            "seconds": round(self.seconds, 3),
            "outputs": [str(self.folder / path) for outcome in self.outcomes for path in paths(outcome)],
            "failed_jobs": [_failure(outcome) for outcome in self.outcomes if outcome.state == FAILED],
            "failures": str(self.failures) if self.failures else None,
            "contact_sheets": [str(path) for path in self.sheets],
            "report": str(self.report) if self.report else None,
            "notes": self.notes,
        }


def paths(outcome: Outcome) -> list[str]:
    return [output["path"] for output in outcome.entry.outputs] if outcome.entry else []


def _failure(outcome: Outcome) -> dict[str, Any]:
    job, error = outcome.job, outcome.error
    place = {"row": job.row.number, "line": job.row.line, "name": job.label, **job.swept}
    return place | {"code": error.code, "message": error.message, "hint": error.hint}


def write_files(result: BatchResult) -> None:
    """Write the list of failures, the contact sheet and the report of ``result``, and note there where they are.

    Raises ``InputError`` ``output_unwritable``.
    """
    from .report import write_report

    _write_failures(result)
    cells = [_cell(result.folder, outcome) for outcome in result.outcomes]
    result.sheets = contact_sheet.write_sheets(result.folder, result.name, cells)
    result.report = write_report(result)


def _write_failures(result: BatchResult) -> None:
    path = result.folder / FAILURES
    failed = [_failure(outcome) for outcome in result.outcomes if outcome.state == FAILED]
    if not failed:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(failed[0]), extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: _inert(value) for name, value in row.items()} for row in failed)
    output_files.write(path, text.getvalue().encode("utf-8-sig", "replace"))  # the mark is for Excel
    result.failures = path


def _inert(value: Any) -> Any:
    """A text that a spreadsheet takes for a text, not for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _cell(folder: Path, outcome: Outcome) -> contact_sheet.Cell:
    job = outcome.job
    thumbnail = thumbnails.after(folder, outcome.entry) if outcome.entry else None
    title = Path(paths(outcome)[0]).stem if paths(outcome) else job.stem
    missing = outcome.error.code if outcome.error else "not run" if outcome.state == LEFT else "no picture"
    return contact_sheet.Cell(title, detail(outcome), thumbnail, missing)


def detail(outcome: Outcome) -> str:
    """The settings in short: what was swept, or else what the row says."""
    job = outcome.job
    shown = job.swept or {name: value for name, value in job.cells.items() if not job.is_picture(name)}
    return ", ".join(f"{name} {value}" for name, value in shown.items())
