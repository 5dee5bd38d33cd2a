"""The command ``imageine doctor``: what is here, what is missing, and what to do first."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console

if TYPE_CHECKING:
    from ..doctor import Check, Diagnosis

PROBLEM_EXIT = 7

_COLOURS = {"problem": "bold red", "warning": "yellow", "ok": "green", "skipped": "dim"}


def doctor(
    server: Annotated[
        str | None, typer.Option(metavar="URL", help="The server to look at; else IMAGEINE_SERVER.")
    ] = None,
    comfyui: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The ComfyUI folder to look at; else the one that is found.")
    ] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Hash the model files: minutes for some gigabytes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")] = False,
) -> None:
    """Look over Python, torch, ComfyUI, models and disk, and say what to do about each gap.

    Exit code: 0 when there is no problem (warnings are allowed), 7 when there is one.
    """
    with console.reporting(as_json=as_json, debug=debug):
        from ..doctor import diagnose

        with _telling() as tell:
            diagnosis = diagnose(server, comfyui, verify=verify, tell=tell)
        if as_json:
            console.print_json(diagnosis.as_dict())
        else:
            show_diagnosis(diagnosis)
    if not diagnosis.ok:
        raise typer.Exit(PROBLEM_EXIT)


@contextlib.contextmanager
def _telling() -> Iterator[Callable[[str], None] | None]:
    """Something that shows what is being looked at, on a terminal alone."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update


def show_diagnosis(diagnosis: "Diagnosis") -> None:
    """A line for each check, the worst first, each gap with its next step below; what to do first comes last."""
    from rich.console import Console
    from rich.text import Text

    from ..doctor.check import SKIPPED, WORST_FIRST

    screen = Console(soft_wrap=True, highlight=False)
    width = max(len(check.name) for check in diagnosis.checks)
    for status in WORST_FIRST:
        for check in _merged(diagnosis.having(status)) if status == SKIPPED else diagnosis.having(status):
            screen.print(Text.assemble((f"{status:7}", _COLOURS[status]), f"  {check.name:{width}}  {check.found}"))
            if check.next:
                screen.print(Text(f"{'':{width + 11}}-> {check.next}"))
    screen.print(Text(_last_line(diagnosis), "bold"))


def _merged(checks: "list[Check]") -> "list[Check]":
    """Checks that were skipped for the same reason as one."""
    names: dict[str, list[str]] = {}
    for check in checks:
        names.setdefault(check.found, []).append(check.name)
    return [replace(checks[0], name=", ".join(merged), found=found) for found, merged in names.items()]


def _last_line(diagnosis: "Diagnosis") -> str:
    counts = {status: len(diagnosis.having(status)) for status in ("problem", "warning")}
    listed = ", ".join(f"{count} {status}{'s' * (count > 1)}" for status, count in counts.items() if count)
    return f"{listed}. First: {diagnosis.next}" if listed else f"All is well. Try: {diagnosis.next}"
