"""The command ``imageine batch``: many jobs from a table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import JobCancelled, JobError, ServerError
from . import console, options

if TYPE_CHECKING:
    from ..batch import BatchResult, JobEnded

_MOST_LISTED = 10
_GO_ON = "The same command goes on from there."


def batch(
    workflow: Annotated[str, typer.Argument(help="A workflow file, a shipped name, or edit: a wish in each row.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for what it makes.")],
    table: Annotated[
        Path | None, typer.Option(metavar="FILE|DIR", help="A .csv or .jsonl table of inputs, or a folder of pictures.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An input of all jobs whose cell is empty.")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUES", help="seed=1..8 or guidance=5,7.5,10; several: all combinations."),
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="TEMPLATE", help="Names of the files: {row}, {name}, {seed} or any column.")
    ] = "",
    again: Annotated[bool, typer.Option("--again", help="Do finished jobs anew, too.")] = False,
    retries: Annotated[int, typer.Option(min=0, metavar="N", help="Try a failed job N times more.")] = 0,
    stop_on_error: Annotated[bool, typer.Option("--stop-on-error", help="Start no job after one has failed.")] = False,
    server: options.Server = None,
    servers: options.Servers = None,
    comfyui: options.ComfyUI = None,
    offload: options.Offload = None,
    compile_unet: options.Compile = False,
    timeout: options.Timeout = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Run a workflow, or edit a photo, for every row of a table; the same command goes on after a stop or a crash."""
    with console.reporting(as_json=as_json, debug=debug):
        from ..batch import run_batch

        display = _Display(quiet)
        try:
            with display:
                result = run_batch(
                    workflow,
                    output,
                    table=table,
                    settings=options.pairs(settings, "--set"),
                    sweeps=sweep or [],
                    name=name,
                    server=options.named(server, servers),
                    comfyui=comfyui,
                    embedded=options.embedded(offload, compile_unet),
                    again=again,
                    retries=retries,
                    stop_on_error=stop_on_error,
                    timeout=timeout,
                    on_event=display.on_event,
                )
        except KeyboardInterrupt:
            progress = display.progress
            message = f"Stopped: {progress.skipped + progress.done} of {progress.jobs} jobs are done."
            raise JobCancelled("job_cancelled", message, _GO_ON) from None
        except ServerError as error:
            raise ServerError(error.code, error.message, f"{error.hint}\n{_GO_ON}".strip(), error.details) from error
        _report(result, as_json=as_json, quiet=quiet)


def _report(result: "BatchResult", *, as_json: bool, quiet: bool) -> None:
    if as_json:
        console.print_json(result.as_dict())
    elif not quiet:
        console.note(_sentence(result))
        print(result.report)
    if not result.is_complete:
        if result.failures and not as_json:
            console.note(f"Failed jobs are listed in {result.failures}; the same command tries them again.")
        raise typer.Exit(JobError.exit_code)


def _sentence(result: "BatchResult") -> str:
    words = {"done": "done", "skipped": "done before", "failed": "failed", "left": "not run"}
    counts = [f"{count} {word}" for state, word in words.items() if (count := result.count(state))]
    return f"{len(result.outcomes)} jobs: {', '.join(counts)}, in {console.duration(result.seconds)}."


class _Display:
    """A bar with the time left on a terminal; plain lines when stderr is piped; nothing but failures when quiet."""

    def __init__(self, quiet: bool):
        from ..batch import Progress

        self.progress = Progress()
        self._quiet = quiet
        self._bar: Any = None
        self._told: set[str] = set()

    def __enter__(self) -> "_Display":
        if not self._quiet and sys.stderr.isatty():
            self._bar = console.progress_bar("{task.fields[count]}")
            self._task = self._bar.add_task("", total=1.0, count="", left="")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def on_event(self, event: Any) -> None:
        from ..batch import JobEnded, JobEvent, JobStarted, Planned
        from ..client.events import Message

        self.progress.update(event)
        if isinstance(event, Message):
            self._say(event.text)
        elif isinstance(event, JobEvent) and isinstance(event.event, Message):
            self._say_once(event.event.text)
        elif isinstance(event, Planned):
            again = f", {event.skipped} of them done before" if event.skipped else ""
            self._say(f"{event.jobs} jobs{again}.")
        elif isinstance(event, JobEnded):
            self._show_end(event)
        if self._bar and isinstance(event, (Planned, JobStarted, JobEnded)):
            self._move()

    def _say(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, highlight=False, markup=False)
        elif not self._quiet:
            console.note(text)

    def _say_once(self, text: str) -> None:
        """What jobs tell is much alike: a thousand rows need not say it a thousand times."""
        if text not in self._told and len(self._told) < _MOST_LISTED:
            self._told.add(text)
            self._say(text)

    def _show_end(self, event: "JobEnded") -> None:
        progress, job = self.progress, event.job
        head = f"{progress.ended} of {progress.jobs}"
        if event.error is not None:
            again = " Trying it again." if event.retry else ""
            text = f"{head} row {job.row.number} ({job.stem}) failed: {event.error.message.strip()}{again}"
            self._say(text) if not self._quiet else console.note(text)
        elif not self._bar:
            left = progress.seconds_left
            rest = f", {console.duration(left)} left" if left else ""
            self._say(f"{head} {event.entry.outputs[0]['path']}{rest}")

    def _move(self) -> None:
        progress = self.progress
        left = f"{console.duration(progress.seconds_left)} left" if progress.seconds_left else ""
        failed = f", {progress.failed} failed" if progress.failed else ""
        count = f"{progress.ended} of {progress.jobs} jobs{failed}"
        self._bar.update(self._task, completed=progress.ended, total=progress.jobs or 1, count=count, left=left)
