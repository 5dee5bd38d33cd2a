"""What the command line shows: messages and progress on stderr, results on stdout, errors with the next step."""

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from ..errors import ImageineError, JobCancelled

_PLAIN_STEPS = 5  # a piped sampler reports about every fifth of its steps


def print_json(data: dict[str, Any]) -> None:
    """One JSON object, and nothing else, on stdout."""
    sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def reporting(*, as_json: bool = False, debug: bool = False) -> Iterator[None]:
    """Turn errors and Ctrl-C into a message, the error's JSON with ``as_json``, and an exit code.

    The first Ctrl-C (or SIGTERM) inside raises KeyboardInterrupt, so that the job is cancelled on its server; the
    second one ends the program at once.
    """
    try:
        with _interruptible():
            yield
    except KeyboardInterrupt:
        _fail(JobCancelled("job_cancelled", "Stopped. Nothing was written."), as_json, debug)
    except ImageineError as error:
        _fail(error, as_json, debug)


def _fail(error: ImageineError, as_json: bool, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    if as_json:
        print_json({"error": error.as_dict()})
    note(f"Error ({error.code}): {error.message}")
    for line in error.hint.splitlines():
        note(f"  {line}")
    raise typer.Exit(error.exit_code)


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: Any) -> None:
        for number in signals:
            signal.signal(number, lambda *_: os._exit(JobCancelled.exit_code))
        note("Stopping; press Ctrl-C again to quit at once.")
        raise KeyboardInterrupt

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def progress_bar(first_column: str) -> Any:
    """A bar on stderr for a terminal: ``first_column`` is its text, and tasks have a field ``left``."""
    from rich import progress
    from rich.console import Console

    return progress.Progress(
        progress.TextColumn(first_column),
        progress.BarColumn(),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[left]}"),
        console=Console(stderr=True),
        transient=True,
    )


class Display:
    """Follows a job's events: a bar on a terminal, plain lines when stderr is piped, nothing when ``quiet``.

    A context manager; ``on_event`` is what ``edit`` and ``run`` take. Previews go to the folder ``previews``. With
    ``explain`` it says why an edit is done as it is.
    """

    def __init__(self, *, quiet: bool = False, previews: Path | None = None, explain: bool = False):
        self._quiet = quiet
        self._explain = explain
        self._previews = previews
        self._saved = 0
        self._tracker = None
        self._titles: dict[str, str] = {}
        self._bar = None
        self._task = None
        self._shown = ("", -1)

    def __enter__(self) -> "Display":
        if not self._quiet and sys.stderr.isatty():
            self._bar = progress_bar("{task.description}")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def on_event(self, event: Any) -> None:
        """Show one event of ``edit`` or ``run``."""
        from .. import editing, jobs
        from ..client import events

        if isinstance(event, events.Preview):
            self._save_preview(event)
        elif isinstance(event, events.Message):
            self._say(event.text)
        elif isinstance(event, editing.Decided):
            if self._explain:
                for edit in event.decision.edits:
                    self._say(
                        f"{edit.pipeline} ({edit.category}, {edit.confidence:.0%} sure): {' '.join(edit.reasons)}"
                    )
        elif isinstance(event, events.Reconnected):
            self._say("The connection to the server is back.")
        elif isinstance(event, events.Queued):
            self._say(f"Waiting: {event.position} jobs are before this one." if event.position else "Next in line.")
        elif isinstance(event, jobs.Submitted):
            self._tracker = events.Progress(event.graph)
            self._titles = {node_id: node["_meta"]["title"] for node_id, node in event.graph.items()}
        elif self._tracker:
            self._tracker.update(event)
            if isinstance(event, (events.NodeStarted, events.NodeProgress, events.NodeDone)):
                self._show_progress()

    def _say(self, text: str) -> None:
        if self._bar:
            self._bar.console.print(text, highlight=False, markup=False)
        elif not self._quiet:
            note(text)

    def _show_progress(self) -> None:
        tracker = self._tracker
        title = self._titles.get(tracker.node_id, tracker.node_id)
        step, steps = int(tracker.value), int(tracker.maximum)
        what = f"{title}, step {step} of {steps}" if steps > 1 else title
        left = "" if tracker.seconds_left is None else f"{duration(tracker.seconds_left)} left"
        if self._bar:
            if self._task is None:
                self._task = self._bar.add_task("", total=1.0, left="")
            self._bar.update(self._task, completed=tracker.fraction, description=what, left=left)
        elif not self._quiet:
            mark = (tracker.node_id, step * _PLAIN_STEPS // steps if steps > 1 else -1)
            if mark != self._shown:
                self._shown = mark
                note(f"{tracker.fraction:4.0%} {what}{f', {left}' if left else ''}")

    def _save_preview(self, event: Any) -> None:
        if self._previews is None:
            return
        self._saved += 1
        suffix = ".png" if event.mime == "image/png" else ".jpg"
        (self._previews / f"preview-{self._saved:04d}{suffix}").write_bytes(event.image_bytes)


def duration(seconds: float) -> str:
    """``1 min 05 s``."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
