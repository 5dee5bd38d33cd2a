"""One finding of the doctor, and how a check that fails itself becomes one."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ImageineError

OK, WARNING, PROBLEM, SKIPPED = "ok", "warning", "problem", "skipped"
WORST_FIRST = (PROBLEM, WARNING, OK, SKIPPED)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    ``name`` is stable. ``status`` is ok, warning (works, but not all of it or not well), problem (what the command
    would do fails) or skipped (there was nothing to look at). ``found`` is what was seen, ``next`` one command or
    step, empty when there is nothing to do. ``details`` are the same values for programs, JSON-serialisable.
    """

    name: str
    status: str
    found: str
    next: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The check as ``imageine doctor --json`` prints it."""
        return asdict(self)


def guarded(name: str, look: Callable[[], Check | Iterable[Check]]) -> list[Check]:
    """What ``look`` finds. An error of the runner is a problem found; any other is the check's own failure."""
    try:
        found = look()
        return [found] if isinstance(found, Check) else list(found)
    except ImageineError as error:
        return [Check(name, PROBLEM, error.message, error.hint, {"error": error.as_dict()})]
    except Exception as error:
        what = f"this check failed itself: {type(error).__name__}: {error}"
        return [Check(name, WARNING, what, "Please report it, with the output of: imageine doctor --json")]


def gigabytes(size: int | float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


def existing(path: Path) -> Path:
    """``path``, or the nearest folder above it that exists."""
    return next(parent for parent in (path, *path.parents) if parent.exists())
