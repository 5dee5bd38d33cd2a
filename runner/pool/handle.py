"""A job of a pool, in the hands of who submitted it."""

import queue
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ..client.events import Event, Finished, Message, Queued, Started
from ..errors import JobCancelled, JobError

if TYPE_CHECKING:
    from ..client import Job
    from ..jobs import OnEvent, Prepared, RunResult
    from ..workflow.precheck import Problem
    from .member import Member

# How far the present attempt is.
UPLOADING, SUBMITTING, WAITING, RUNNING, FETCHING = "uploading", "submitting", "waiting", "running", "fetching"

_END = object()


class Handle:
    """A job that a pool was given. Made by ``Pool.submit``, ``Pool.map`` and ``Pool.attach``; any thread may use it.

    ``id`` is its prompt id, on every server it is sent to (but for one that holds a cancelled job of this id): with
    ``Pool.attach`` it is found again, also by another program. ``tag`` is what was given with it. ``server`` is where
    it is or was last, ``attempts`` how many servers it was sent to so far (the same one twice counts twice).
    """

    def __init__(self, prompt_id: str, work: "Prepared | None", *, priority: float = 0, tag: Any = None, **options):
        self.id = prompt_id
        self.work = work
        self.priority = priority
        self.tag = tag
        self.server: str | None = None
        self.attempts = 0
        self.result: RunResult | None = None
        self.error: BaseException | None = None
        self.timeout: float | None = options.get("timeout")
        self.previews: bool = options.get("previews", False)
        self.extra_metadata: dict = options.get("extra_metadata") or {}
        self.models = frozenset(work.workflow.models if work is not None else ())
        # From here on the scheduler's, under its lock.
        self.number = 0
        self.passed = 0
        self.stage = ""
        self.blamed: bool | None = None  # for the loss of the server it is on; None while that lives
        self.losses = 0
        self.cancelled = False
        self.recalled = False
        self.found: Member | None = None
        self.fits: dict[str, tuple[int, list[Problem]]] = {}
        self.excluded: dict[str, BaseException] = {}
        self._ids: dict[str, str] = {}  # other ids, on servers that hold a cancelled job of this one
        self.job: Job | None = None
        self.sent = threading.Event()  # the server has it, or never will
        self.after: list[threading.Event] = []  # ``sent`` of the jobs that come before this one there
        self._cancel: Callable[[Handle, float], None] | None = options.get("cancel")
        self._events: queue.SimpleQueue = queue.SimpleQueue()
        self._ended = threading.Event()
        self._watchers: list[Callable[[Handle], None]] = []

    @property
    def state(self) -> str:
        """``queued`` (in the pool), ``placed`` (on a server), ``running``, ``done``, ``failed`` or ``cancelled``."""
        if self.is_ended:
            return "done" if self.error is None else "cancelled" if isinstance(self.error, JobCancelled) else "failed"
        return "running" if self.stage in (RUNNING, FETCHING) else "placed" if self.stage else "queued"

    @property
    def is_ended(self) -> bool:
        return self._ended.is_set()

    def wait(self, timeout: float | None = None, on_event: "OnEvent | None" = None) -> "RunResult":
        """The job's result, once it has one. Errors as ``events`` raises them.

        With ``on_event`` the events are taken, and then nobody else gets them.
        """
        if on_event is not None:
            for event in self.events(timeout):
                on_event(event)
        elif not self._ended.wait(timeout):
            raise self._too_late(timeout)
        if self.error is not None:
            raise self.error
        return self.result

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Yield what the job does until it succeeded; the last event is ``Finished``.

        Raises what ended it otherwise: an ``ImageineError``, ``JobCancelled`` among them. After ``timeout`` seconds it
        raises ``JobError`` (job_timeout) and the job goes on: cancel it, or call again.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                event = self._events.get(timeout=None if until is None else max(until - time.monotonic(), 0.0))
            except queue.Empty:
                raise self._too_late(timeout) from None
            if event is _END:
                self._events.put(_END)  # for who asks again
                break
            yield event
        if self.error is not None:
            raise self.error

    def cancel(self, wait: float = 5.0) -> bool:
        """Take the job out of the pool's queue, or stop it on its server; no other job is touched.

        True once it is cancelled, False when it ended before, or has not stopped ``wait`` seconds after.
        """
        if self._cancel is not None:
            self._cancel(self, wait)
        self._ended.wait(wait)
        return self.state == "cancelled"

    def when_ended(self, call: "Callable[[Handle], None]") -> None:
        """Have ``call(handle)`` made when the job ends, in a thread of the pool; at once if it has ended."""
        self._watchers.append(call)
        if self.is_ended:
            try:
                self._watchers.remove(call)
            except ValueError:  # ``end`` has taken it
                return
            call(self)

    def id_on(self, url: str) -> str:
        """The prompt id that the job has on a server: its own, unless that stands for a cancelled job there."""
        return self._ids.get(url, self.id)

    def renew_id(self, url: str) -> None:
        """Go by another id on the server at ``url``, which holds a cancelled job of this one."""
        self._ids[url] = str(uuid.uuid4())

    def may_go_to(self, member: "Member") -> bool:
        return member.url not in self.excluded and not member.problems(self)

    def tell(self, event: Event) -> None:
        """Note what the job does on its server, and pass it on."""
        if isinstance(event, Finished):  # not before its files are here
            self.stage = FETCHING
            return
        if isinstance(event, Started):
            self.stage = RUNNING
        elif isinstance(event, Queued) and self.stage != RUNNING:
            self.stage = WAITING
        self._events.put(event)

    def say(self, text: str) -> None:
        """Tell ``text`` to those who follow the job."""
        self._events.put(Message(text))

    def end(self, result: "RunResult | None", error: BaseException | None) -> None:
        """The end; the first one counts."""
        if self.is_ended:
            return
        self.result, self.error = result, error
        if error is None:
            self._events.put(Finished())
        self._events.put(_END)
        self._ended.set()
        while self._watchers:
            self._watchers.pop()(self)

    def _too_late(self, timeout: float | None) -> JobError:
        place = f"on {self.server}" if self.server else "in the pool's queue"
        text = f"The job did not finish within {timeout:g} s; it is still {place}."
        return JobError("job_timeout", text, "Allow more time, or cancel it.", {"prompt_id": self.id})
