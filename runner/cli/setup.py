"""The command ``imageine setup``: a ComfyUI with this extension in it."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from . import console, options
from .doctor import show_diagnosis


def setup(
    comfyui: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Where ComfyUI is or goes; else what is found, or ~/comfy/ComfyUI."),
    ] = None,
    gpu: Annotated[
        str, typer.Option(help="nvidia, amd, intel-arc, m-series or cpu; else what this machine seems to have.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Install comfy-cli without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the commands, and stop.")] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Install a ComfyUI where there is none, through comfy-cli, and this extension into it.

    What is there already is left alone, so it may be run again. Downloads no models.
    """
    with console.reporting(debug=debug):
        from ..doctor import diagnose
        from ..engines.installing import Setup

        def confirm(question: str) -> bool:
            return yes or (sys.stdin.isatty() and typer.confirm(question, err=True))

        tell = (lambda text: None) if quiet else console.note
        folder = Setup(comfyui, gpu, dry_run, confirm, show=print, tell=tell).run()
        if dry_run:
            return
        print(folder)
        if not quiet:
            show_diagnosis(diagnose(comfyui=folder))
