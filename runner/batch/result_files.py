"""The files that tell what became of a batch: failures.csv, the contact sheet and the report."""

import csv
import io
from pathlib import Path
from typing import Any

from ..pictures import output_files
from . import contact_sheet, thumbnails
from .report import write_report
from .summary import FAILED, LEFT, BatchResult, Outcome, failure, paths

FAILURES = "failures.csv"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def write_files(result: BatchResult) -> None:
    """Write the list of failures, the contact sheet and the report of ``result``, and note there where they are.

    Raises ``InputError`` ``output_unwritable``.
    """
    _write_failures(result)
    cells = [_cell(result.folder, outcome) for outcome in result.outcomes]
    result.sheets = contact_sheet.write_sheets(result.folder, result.name, cells)
    result.report = write_report(result)


def _write_failures(result: BatchResult) -> None:
    path = result.folder / FAILURES
    failed = [failure(outcome) for outcome in result.outcomes if outcome.state == FAILED]
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
    return contact_sheet.Cell(title, _detail(outcome), thumbnail, missing)


def _detail(outcome: Outcome) -> str:
    """The settings in short: what was swept, or else what the row says."""
    job = outcome.job
    shown = job.swept or {name: value for name, value in job.cells.items() if not job.is_picture(name)}
    return ", ".join(f"{name} {value}" for name, value in shown.items())
