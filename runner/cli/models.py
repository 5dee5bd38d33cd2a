"""The ``imageine models`` commands: list, pull and verify. Results go to stdout, everything else to stderr."""

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import ImageineError, JobCancelled, ModelError
from .console import note, print_json, reporting

if TYPE_CHECKING:
    from .. import models

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="List, download and check the models that the workflows need."
)

Names = Annotated[list[str] | None, typer.Argument(help="Model ids, pipelines (simple), or all.")]
ModelsDir = Annotated[Path | None, typer.Option(help="The models folder itself, instead of a ComfyUI's.")]
ComfyUI = Annotated[Path | None, typer.Option(help="The ComfyUI folder; else COMFYUI_DIR or the one that is found.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


@app.command("list")
def list_models(
    pipeline: Annotated[str, typer.Option(help="Only what this pipeline needs.")] = "all",
    models_dir: ModelsDir = None,
    comfyui: ComfyUI = None,
    as_json: AsJson = False,
) -> None:
    """Show every model: what it is for, its licence and size, and whether it is there."""
    with reporting(as_json=as_json):
        from .. import models

        chosen = models.select([pipeline])
        try:
            folders = models.models_dirs(models_dir, comfyui)
        except ImageineError as error:
            if error.code != "comfyui_missing" or comfyui is not None:
                raise
            note(f"{error.message} {error.hint}")
            folders = None
        found = [models.status(model, folders) if folders else None for model in chosen]
        if as_json:
            print_json({"models": [_as_dict(*pair) for pair in zip(chosen, found, strict=True)]})
        else:
            _print_table(chosen, found)


@app.command()
def pull(
    names: Names = None,
    models_dir: ModelsDir = None,
    comfyui: ComfyUI = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept the terms of gated models without asking.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Hash what is there and replace files that are not right.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be downloaded, and stop.")] = False,
    as_json: AsJson = False,
) -> None:
    """Download models (those of the simple pipeline unless named otherwise). What is there already is left alone."""
    with reporting(as_json=as_json):
        from .. import models

        chosen = models.select(names or ["simple"])
        folders = models.models_dirs(models_dir, comfyui)
        wanted = [found for model in chosen if (found := models.status(model, folders)).state != models.PRESENT]
        for found in wanted:
            model = found.model
            note(f"{model.id}: {_size(model.size)}, licence {model.licence.name} ({model.licence.url})")
        if not dry_run:
            done = _pull(chosen, folders, overwrite, lambda model: yes or _ask(model))
            _print_statuses(done, as_json)
        elif as_json:
            print_json({"models": [_as_dict(found.model, found) for found in wanted]})
        else:
            for found in wanted:
                for entry in found.files:
                    if _is_broken(entry):
                        print(f"{_size(entry.file.size)}\t{found.model.url(entry.file)}\t{entry.path}")


@app.command()
def verify(names: Names = None, models_dir: ModelsDir = None, comfyui: ComfyUI = None, as_json: AsJson = False) -> None:
    """Hash the files on disk and compare them with the manifest. Works offline. Without names: whatever is there."""
    with reporting(as_json=as_json):
        from .. import models

        folders = models.models_dirs(models_dir, comfyui)
        chosen = models.select(names or ["all"])
        if not names:
            chosen = [model for model in chosen if models.status(model, folders).state != models.MISSING]
            if not chosen:
                note(f"None of the models is below {folders.root}. Fetch them with `imageine models pull simple`.")
        with _progress_bar() as show:

            def on_hashed(entry: models.FileStatus, done: int) -> None:
                show(models.Progress(entry.file, "verify", done, entry.size, 0, 0))

            found = models.verify(chosen, folders, on_hashed)
        _print_statuses(found, as_json)
        if any(map(_is_broken, found)):
            raise typer.Exit(ModelError.exit_code)


def _is_broken(found: "models.ModelStatus | models.FileStatus") -> bool:
    from .. import models

    return found.state in (models.MISSING, models.INCOMPLETE, models.WRONG_SIZE, models.CORRUPT)


def _pull(chosen, folders, overwrite, accept) -> "list[models.ModelStatus]":
    from .. import models

    try:
        with _progress_bar() as show:
            return models.pull(chosen, folders, accept=accept, overwrite=overwrite, on_progress=show)
    except KeyboardInterrupt:
        next_step = "The same command goes on where this one stopped."
        raise JobCancelled("job_cancelled", "Stopped before all of it was there.", next_step) from None


@contextmanager
def _progress_bar():
    """Yield the function that shows a ``models.Progress``: the whole download, or the one file being checked."""
    from rich import progress
    from rich.console import Console

    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, visible=False)

        def show(at: "models.Progress") -> None:
            fetching = at.phase == "download"
            done, total = (at.overall, at.overall_total) if fetching else (at.done, at.total)
            description = f"{'fetching' if fetching else 'checking'} {at.file.name}"
            bar.update(task, description=description, completed=done, total=total or None, visible=True)

        yield show


def _ask(model: "models.Model") -> bool:
    if not sys.stdin.isatty():
        return False
    return typer.confirm(f"{model.title} has terms to accept ({model.licence.url}). Do you accept them?", err=True)


def _print_table(chosen: "list[models.Model]", found: "list[models.ModelStatus | None]") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    # Piped into a file or another program, a line must not be wrapped.
    console = console if console.is_terminal else Console(width=1000)
    table = Table("ID", "For", "Licence", "Size", "State", "Path", box=None, pad_edge=False)
    for model, status in zip(chosen, found, strict=True):
        name = model.id if model.default else f"{model.id} (optional)"
        state, path = (status.state, str(status.path)) if status else ("?", "")
        table.add_row(name, model.role, model.licence.name, _size(model.size), state, path)
    console.print(table)


def _print_statuses(found: "list[models.ModelStatus]", as_json: bool) -> None:
    from .. import models

    if as_json:
        return print_json({"models": [_as_dict(status.model, status) for status in found]})
    for status in found:
        print(f"{status.state}\t{status.model.id}\t{status.path}")
        for entry in status.files:
            if entry.state in (models.CORRUPT, models.WRONG_SIZE):
                note(
                    f"{entry.path} is {entry.state}: `imageine models pull {status.model.id} --overwrite` replaces it."
                )
    return None


def _as_dict(model: "models.Model", status: "models.ModelStatus | None") -> dict:
    entry = {
        "id": model.id,
        "role": model.role,
        "title": model.title,
        "pipelines": list(model.pipelines),
        "default": model.default,
        "repo": model.repo,
        "revision": model.revision,
        "licence": {"name": model.licence.name, "spdx": model.licence.spdx, "url": model.licence.url},
        "gated": model.gated,
        "size": model.size,
        "state": status.state if status else None,
        "path": str(status.path) if status else None,
    }
    files = status.files if status else ()
    entry["files"] = [
        {"url": model.url(file.file), "path": str(file.path), "state": file.state, "size": file.size} for file in files
    ]
    return entry


def _size(size: int | None) -> str:
    from rich.filesize import decimal

    return "?" if size is None else decimal(size)
