"""What became of a batch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ImageineError
from .jobs import Job
from .manifest import Entry

DONE, SKIPPED, FAILED, LEFT = "done", "skipped", "failed", "left"


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
            "failed_jobs": [failure(outcome) for outcome in self.outcomes if outcome.state == FAILED],
            "failures": str(self.failures) if self.failures else None,
            "contact_sheets": [str(path) for path in self.sheets],
            "report": str(self.report) if self.report else None,
            "notes": self.notes,
        }


def paths(outcome: Outcome) -> list[str]:
    return [output["path"] for output in outcome.entry.outputs] if outcome.entry else []


def failure(outcome: Outcome) -> dict[str, Any]:
    """Of a failed job: its row, its name, what was swept, and the error."""
    job, error = outcome.job, outcome.error
    place = {"row": job.row.number, "line": job.row.line, "name": job.label, **job.swept}
    return place | {"code": error.code, "message": error.message, "hint": error.hint}
