"""Do the jobs of a batch: a few at a time, recorded, tried again where that helps, stopped cleanly."""

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ..client.events import Event
from ..errors import ImageineError, InputError, JobCancelled, JobError, ServerError
from . import thumbnails
from .files import Store, are_unchanged, stamp, sweep_up
from .jobs import Job
from .manifest import DROPPED, FAILED, OPEN, SAVING, Entry, Manifest
from .recorded import Recorded, places_of
from .tasks import Task

STOP_SECONDS = 15.0  # for running jobs to stop after Ctrl-C, before they are left to the next run
_FOUND_ENDED = ("job_interrupted", "job_lost", "output_missing")
_HOPELESS = ("job_rejected", "job_poison", "job_interrupted")
_ALL_FAIL = (
    "server_unreachable",
    "server_not_comfyui",
    "server_lost",
    "server_start",
    "pool_down",
    "output_unwritable",
)
_END = object()


@dataclass(frozen=True)
class JobStarted(Event):
    job: Job


@dataclass(frozen=True)
class JobEvent(Event):
    """What a running job reports."""

    job: Job
    event: Event


@dataclass(frozen=True)
class JobEnded(Event):
    """A job is done (``entry`` has its files) or failed with ``error``. ``retry``: it is tried again."""

    job: Job
    entry: Entry | None = None
    error: ImageineError | None = None
    retry: bool = False


@dataclass(frozen=True)
class Rules:
    """``retries`` for each job; ``timeout`` seconds for each try."""

    retries: int = 0
    stop_on_error: bool = False
    timeout: float | None = None


class Execution:
    """Runs jobs in threads; ``events`` yields what happens, in the caller's thread, until all have ended.

    A job that fails is left behind. What would make all others fail too ends everything and is raised: no server that
    can be used, no place to write to. Leaving ``events`` early, as Ctrl-C does, cancels what runs.
    """

    def __init__(self, task: Task, place: Any, manifest: Manifest, store: Store, rules: Rules):
        self._task = task
        self._place = place
        self._manifest = manifest
        self._store = store
        self._rules = rules
        self._queue: queue.SimpleQueue = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running: dict[str, Recorded] = {}
        self._stopping = threading.Event()  # start no job
        self._cancelling = threading.Event()  # end those that run, too
        self._fatal: BaseException | None = None

    def events(self, jobs: list[Job]) -> Iterator[Event]:
        waiting = iter(jobs)
        count = min(places_of(self._place), len(jobs))
        threads = [threading.Thread(target=self._work, args=(waiting,), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            for _ in threads:
                while (event := self._queue.get()) is not _END:
                    yield event
        finally:
            self._stop()
            until = time.monotonic() + STOP_SECONDS
            for thread in threads:
                thread.join(max(until - time.monotonic(), 0.0))
        if self._fatal is not None:
            raise self._fatal

    def late_events(self) -> Iterator[Event]:
        """What came after ``events`` was left early."""
        with contextlib.suppress(queue.Empty):
            while True:
                event = self._queue.get_nowait()
                if event is not _END:
                    yield event

    def _stop(self) -> None:
        """Start no job any more and cancel those that run; of no effect once all have ended."""
        self._stopping.set()
        self._cancelling.set()
        with self._lock:
            running = list(self._running.values())
        if running:
            with ThreadPoolExecutor(max_workers=len(running)) as threads:
                list(threads.map(Recorded.cancel, running))

    def _work(self, waiting: Iterator[Job]) -> None:
        try:
            while not self._stopping.is_set():
                with self._lock:
                    job = next(waiting, None)
                if job is None:
                    return
                self._carry_out(job)
        except BaseException as error:  # it must reach the caller, whatever it is
            self._fatal = self._fatal or error
            self._cancelling.set()
            threading.Thread(target=self._stop, daemon=True).start()
        finally:
            self._queue.put(_END)

    def _carry_out(self, job: Job) -> None:
        self._queue.put(JobStarted(job))
        ids = self._earlier(job)
        left = self._rules.retries
        while True:
            place = None
            try:
                inputs = self._stamp(job)
                place = Recorded(self._place, ids, functools.partial(self._send, job, inputs))
                self._queue.put(JobEnded(job, self._try(job, place, inputs)))
                return
            except ImageineError as error:
                if isinstance(error, JobCancelled):
                    self._manifest.append(DROPPED, job.identity)
                if self._cancelling.is_set() or isinstance(error, JobCancelled):
                    return
                resumed = place is not None and place.is_resumed and error.code in _FOUND_ENDED
                again = resumed or (left > 0 and _may_help(error))
                if not again and error.code in _ALL_FAIL:
                    raise
                if not again:
                    self._fail(job, error)
                    return
                left -= not resumed
                # What a lost server may still have is looked for there; what has ended is sent anew.
                ids = place.ids if isinstance(error, ServerError) and place is not None else []
                if not ids:
                    self._manifest.append(DROPPED, job.identity)
                self._queue.put(JobEnded(job, None, error, retry=True))

    def _earlier(self, job: Job) -> list[str]:
        """The prompts of a try that was broken off, if they were for the same pictures."""
        entry = self._manifest.entries.get(job.identity)
        if entry is None or entry.state not in (OPEN, SAVING) or not are_unchanged(entry.inputs, job.pictures):
            return []
        sweep_up(self._manifest.path.parent, entry)
        return entry.prompt_ids

    @staticmethod
    def _stamp(job: Job) -> dict[str, dict]:
        try:
            return {name: {"path": job.written[name], **stamp(path)} for name, path in job.pictures.items()}
        except OSError as error:
            message = f"A picture of row {job.row.number} is gone: {error}."
            raise InputError("image_missing", message, "Put it back, then run it again.") from error

    def _send(self, job: Job, inputs: dict[str, dict], prompt_id: str) -> None:
        self._manifest.append(OPEN, job.identity, inputs=inputs, prompt_id=prompt_id)

    def _try(self, job: Job, place: Recorded, inputs: dict[str, dict]) -> Entry:
        with self._lock:
            self._running[job.identity] = place
        if self._cancelling.is_set():  # since it was looked at
            place.cancel()
        try:
            settings = job.draw(self._manifest.batch)
            tell = self._teller(job)
            made = self._task.perform(settings, job.pictures, place, tell, self._rules.timeout)
        finally:
            with self._lock:
                self._running.pop(job.identity, None)
        facts = {"row": job.row.number, "settings": settings, "seconds": round(made.seconds, 3), "notes": made.notes}
        entry = self._store.save(job, made, inputs, facts | {"seed": made.facts.get("seed")})
        thumbnails.make(self._manifest.path.parent, job, entry)
        return entry

    def _teller(self, job: Job) -> Callable[[Event], None]:
        return lambda event: self._queue.put(JobEvent(job, event))

    def _fail(self, job: Job, error: ImageineError) -> None:
        self._manifest.append(FAILED, job.identity, row=job.row.number, code=error.code, message=error.message)
        self._queue.put(JobEnded(job, None, error))
        if self._rules.stop_on_error:
            self._stopping.set()


def _may_help(error: ImageineError) -> bool:
    """Whether another try may end otherwise."""
    return isinstance(error, JobError | ServerError) and error.code not in _HOPELESS
