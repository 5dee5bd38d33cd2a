"""Many jobs from a table: planned and checked as a whole, resumed after a crash, reported at the end."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client.events import Event, Message
from ..errors import ImageineError, InputError
from ..jobs import OnEvent
from ..pictures import output_files
from ..running import connected
from ..workflow import Workflow
from .edit_task import EDIT, EditTask
from .execution import Execution, JobEnded, JobEvent, JobStarted, Rules
from .files import Store, are_unchanged, are_whole
from .jobs import Job, name_jobs, plan_jobs
from .manifest import DONE, SAVING, Entry, Manifest
from .progress import Planned, Progress
from .result_files import write_files
from .summary import FAILED, LEFT, SKIPPED, BatchResult, Outcome
from .sweeps import parse_sweeps
from .table import Row, read_table
from .tasks import Task
from .workflow_task import WorkflowTask

if TYPE_CHECKING:
    from ..client import Client
    from ..jobs import Place

__all__ = ["BatchResult", "JobEnded", "JobEvent", "JobStarted", "Outcome", "Planned", "Progress", "run_batch"]


def run_batch(
    workflow: str | Path | Mapping | Workflow,
    folder: str | Path,
    *,
    table: str | Path | Iterable[Mapping[str, Any]] | None = None,
    settings: Mapping[str, Any] | None = None,
    sweeps: Iterable[str] | Mapping[str, Iterable[Any]] = (),
    name: str = "",
    client: "Client | Place | None" = None,
    server: str | Sequence[str] | Path | None = None,
    comfyui: str | Path | None = None,
    embedded: Mapping[str, Any] | None = None,
    again: bool = False,
    retries: int = 0,
    stop_on_error: bool = False,
    timeout: float | None = None,
    on_event: OnEvent | None = None,
) -> BatchResult:
    """Run ``workflow`` for every row of ``table`` and every combination of ``sweeps``; results go to ``folder``.

    ``workflow`` is one as ``run`` takes it, or ``"edit"``: then each row has an ``image`` and a ``wish`` and is what
    ``edit`` does. ``table`` is what ``read_table`` takes, or mappings; its columns are inputs. ``settings`` are for
    cells that are empty; pictures in them, unlike those in a table, are relative to the working directory. ``name`` is
    the template of the files' names, such as ``{row}-{name}``; for edits with the ending of their format.

    The folder keeps a manifest (``batch.jsonl``): the same call goes on after a crash or Ctrl-C, follows jobs that the
    server still has, and skips those that are done and whose pictures, settings and files are as they were; ``again``
    does them anew. ``retries`` and ``timeout`` seconds are for each job; one that fails is listed in ``failures.csv``
    and left for the next run, and with ``stop_on_error`` no other is started then. ``server``, ``comfyui``,
    ``embedded`` and ``client`` as for ``run``. Events: ``Planned``, ``JobStarted``, ``JobEvent``, ``JobEnded`` and
    ``Message``.

    Raises ``InputError`` (table_unreadable, table_invalid, batch_busy, option_invalid, output_unwritable) and
    ``WorkflowError`` before anything is sent; ``ServerError`` when no server can be used any more. Failed jobs raise
    nothing: see ``BatchResult.outcomes``.
    """
    if retries < 0:
        raise InputError("option_invalid", f"{retries} retries are less than none.", "Give 0 or more.")
    folder = output_files.check_output_folder(folder)
    if isinstance(table, str | Path) and folder.exists() and Path(table).exists() and folder.samefile(table):
        message = f"The output folder '{folder}' is the folder of the pictures itself."
        raise InputError("option_invalid", message, "Name another one: results must not become inputs.")
    tell = on_event or (lambda event: None)
    task, name = _task(workflow, name)
    rows, notes = _rows(table)
    for note in notes:
        tell(Message(note))
    source = str(table) if isinstance(table, str | Path) else "The batch"
    plan = _Plan(task, source, rows, parse_sweeps(sweeps), dict(settings or {}), name)
    rules = Rules(retries, stop_on_error, timeout)
    if not plan.needs_definitions:
        plan.make("")
        return _Batch(plan, folder, notes, tell, rules).run(
            lambda: connected(client, server, comfyui, tell, embedded), again=again
        )
    with connected(client, server, comfyui, tell, embedded) as place:
        task.resolve(place.object_info())
        plan.make("")
        return _Batch(plan, folder, notes, tell, rules).run(lambda: contextlib.nullcontext(place), again=again)


def _task(workflow: str | Path | Mapping | Workflow, name: str) -> tuple[Task, str]:
    """(what each row is for, the template of names without an ending)."""
    suffix = Path(name).suffix.lower() if Path(name).suffix.lower() in output_files.FORMATS else ""
    stem = name[: -len(suffix)] if suffix else name
    if workflow == EDIT:
        return EditTask(suffix or ".png"), stem
    if suffix:
        message = f"--name {name!r} ends in {suffix}, and a workflow saves its files in its own formats."
        raise InputError("option_invalid", message, "Leave the ending out.")
    return WorkflowTask(workflow if isinstance(workflow, Workflow) else Workflow.load(workflow)), stem


def _rows(table: str | Path | Iterable[Mapping[str, Any]] | None) -> tuple[list[Row], list[str]]:
    if table is None:
        return [Row(1)], []
    if isinstance(table, str | Path):
        return read_table(table)
    rows = [
        Row(number, {key: value for key, value in row.items() if value is not None})
        for number, row in enumerate(table, 1)
    ]
    if not rows:
        raise InputError("table_unreadable", "The batch has no row.", "Give one mapping for each job.")
    return rows, []


class _Plan:
    """What there is to do, from the table and the options."""

    def __init__(self, task: Task, source: str, rows: list[Row], sweeps: dict, fixed: dict, name: str):
        self.task = task
        self.source = f"{task.name}|{Path(source).name}"
        self._content = (source, rows, sweeps, fixed)
        self._name = name
        self._jobs: list[Job] = []

    @property
    def needs_definitions(self) -> bool:
        return isinstance(self.task, WorkflowTask) and self.task.workflow.needs_definitions

    def make(self, batch: str) -> list[Job]:
        """The jobs, named; seeds that are to be drawn are those of ``batch``."""
        self._jobs = self._jobs or plan_jobs(self.task, *self._content)
        name_jobs(self.task, self._jobs, self._name, batch)
        return self._jobs

    def check(self, object_info: dict) -> None:
        """Hold the rows to what the server says of its nodes."""
        self.task.resolve(object_info)
        plan_jobs(self.task, *self._content)


class _Batch:
    def __init__(self, plan: _Plan, folder: Path, notes: list[str], tell: OnEvent, rules: Rules):
        self._plan = plan
        self._folder = folder
        self._notes = notes
        self._tell = tell
        self._rules = rules
        self._outcomes: dict[str, Outcome] = {}

    def run(self, connect: Any, *, again: bool) -> BatchResult:
        started = time.monotonic()
        with Manifest(self._folder) as manifest:
            if again or not manifest.batch:
                manifest.begin()
            if manifest.damaged:
                self._note(f"{manifest.damaged} lines of '{manifest.path}' were cut off or are no record; passed over.")
            jobs = self._plan.make(manifest.batch)
            self._outcomes = {job.identity: Outcome(job, LEFT) for job in jobs}
            for job in jobs:
                if entry := self._finished(manifest, job):
                    self._outcomes[job.identity] = Outcome(job, SKIPPED, entry)
            todo = [outcome.job for outcome in self._outcomes.values() if outcome.state == LEFT]
            self._tell(Planned(len(jobs), len(jobs) - len(todo)))
            try:
                if todo:
                    self._do(manifest, todo, connect)
            except BaseException:
                with contextlib.suppress(ImageineError):  # why it ended is the news
                    self._result(started)
                raise
            return self._result(started)

    def _do(self, manifest: Manifest, todo: list[Job], connect: Any) -> None:
        with connect() as place:
            self._plan.check(place.object_info())
            self._plan.task.require_fit(place)
            finished = [outcome.entry for outcome in self._outcomes.values() if outcome.entry]
            store = Store(self._folder, manifest, self._plan.source, finished)
            execution = Execution(self._plan.task, place, manifest, store, self._rules)
            try:
                with contextlib.closing(execution.events(todo)) as events:
                    self._follow(events)
            finally:
                self._follow(execution.late_events())

    def _follow(self, events: Iterator[Event]) -> None:
        for event in events:
            if isinstance(event, JobEnded) and not event.retry:
                state = FAILED if event.error else "done"
                self._outcomes[event.job.identity] = Outcome(event.job, state, event.entry, event.error)
            self._tell(event)

    def _finished(self, manifest: Manifest, job: Job) -> Entry | None:
        """The record of a job that is done, its pictures and its files as they were then."""
        entry = manifest.entries.get(job.identity)
        if entry is None or entry.state not in (DONE, SAVING) or not are_whole(self._folder, entry.outputs):
            return None
        if not are_unchanged(entry.inputs, job.pictures):
            return None
        if entry.state == SAVING:  # killed between the last file and the word that it is there
            facts = {name: value for name, value in entry.record.items() if name not in ("event", "job")}
            manifest.append(DONE, job.identity, **facts)
        return manifest.entries[job.identity]

    def _note(self, text: str) -> None:
        self._notes.append(text)
        self._tell(Message(text))

    def _result(self, started: float) -> BatchResult:
        name = self._plan.task.name
        outcomes = list(self._outcomes.values())
        result = BatchResult(name, self._folder, outcomes, time.monotonic() - started, list(self._notes))
        write_files(result)
        return result
