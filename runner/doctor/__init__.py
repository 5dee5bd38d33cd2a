"""Look over everything an edit needs, and say what to do about each gap.

>>> from imageine.runner import diagnose
>>> for check in diagnose().checks:
...     print(check.status, check.name, check.found, check.next)
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from . import machine, serving, storage
from .check import OK, PROBLEM, SKIPPED, WARNING, Check, guarded
from .site import Site

__all__ = ["OK", "PROBLEM", "SKIPPED", "WARNING", "Check", "Diagnosis", "diagnose"]

_READY = 'imageine edit photo.jpg "make the car blue" -o out.png'


@dataclass(frozen=True)
class Diagnosis:
    """What was found, in the order in which things need each other: the first problem is the one to mend first."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether no check is a problem; warnings are allowed."""
        return not self.having(PROBLEM)

    @property
    def next(self) -> str:
        """What to do first: the step of the first problem, else of the first warning, else an edit."""
        steps = [check.next for status in (PROBLEM, WARNING) for check in self.having(status) if check.next]
        return steps[0] if steps else _READY

    def having(self, status: str) -> list[Check]:
        """The checks of one status."""
        return [check for check in self.checks if check.status == status]

    def as_dict(self) -> dict[str, Any]:
        """The diagnosis as ``imageine doctor --json`` prints it."""
        counts = {status: len(self.having(status)) for status in (OK, WARNING, PROBLEM, SKIPPED)}
        return {
            "ok": self.ok,
            "next": self.next,
            "counts": counts,
            "checks": [check.as_dict() for check in self.checks],
        }


def diagnose(
    server: str | None = None,
    comfyui: str | Path | None = None,
    *,
    verify: bool = False,
    tell: Callable[[str], None] | None = None,
) -> Diagnosis:
    """Check what an edit with these options would use: Python, torch and GPU, ComfyUI, server, nodes, models, disk.

    ``server`` and ``comfyui`` choose as they do for ``edit``; given both, the folder is looked at too. ``verify``
    hashes the model files. ``tell`` gets a sentence before each thing that may take seconds. torch is asked in
    another process. Nothing is changed, but for the record of what ``verify`` found. Does not raise for anything that
    is missing or broken: that is what it finds.
    """
    tell = tell or (lambda text: None)
    checks: list[Check] = []
    with closing(Site(server, comfyui)) as site:
        found = storage.Models(site, verify=verify, tell=tell)
        for text, name, look in _plan(site, found):
            tell(text)
            checks += guarded(name, look)
    return Diagnosis(tuple(checks))


def _plan(site: Site, found: storage.Models) -> list[tuple[str, str, Callable]]:
    """``(what to tell, name, check)`` in the order in which things need each other."""
    server, folder, disk = "Asking the server ...", "Looking at ComfyUI ...", "Looking at models and disk ..."
    python = "Asking ComfyUI's Python about torch ..."
    return [
        ("Looking at Python ...", "python", partial(machine.check_python, site)),
        ("Looking at Python ...", "runner-packages", partial(machine.check_runner_packages, site)),
        (server, "server", partial(serving.check_server, site)),
        (folder, "comfyui", partial(machine.check_comfyui, site)),
        (python, "node-packages", partial(machine.check_node_packages, site)),
        (python, "torch", partial(machine.check_torch, site)),
        (folder, "extension", partial(machine.check_extension, site)),
        (server, "nodes", partial(serving.check_nodes, site)),
        (server, "browser", partial(serving.check_browser, site)),
        (disk, "models", partial(storage.check_models, found)),
        (disk, "disk", partial(storage.check_disk, found)),
        (disk, "write", partial(storage.check_writing, found)),
        (server, "clock", partial(machine.check_clock, site)),
    ]
