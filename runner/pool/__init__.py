"""Several ComfyUI servers as one: each job goes to the server that can do it soonest."""

import copy
import queue
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..client.events import Message
from ..client.submission import canonical
from ..client.transport import Address
from ..errors import ImageineError, InputError, JobError
from ..jobs import OnEvent, Place, Prepared, RunResult, prepare
from ..workflow import Workflow
from . import health, lookup, refusals
from .breaker import PAUSES
from .config import Servers, ServerSpec, read_server, read_servers
from .handle import Handle
from .member import Member, Options, ServerState
from .scheduler import Scheduler

if TYPE_CHECKING:
    from PIL import Image

    from ..workflow.pictures import Picture

__all__ = ["Handle", "Pool", "ServerSpec", "ServerState"]

AHEAD = 4  # jobs that ``map`` keeps in the pool, per place on a server


class Pool(Place):
    """ComfyUI servers that share the work; a context manager.

    >>> with Pool(["http://gpu1:8188", "http://gpu2:8188"]) as pool:
    ...     result = pool.run("Simple Edit", settings={"prompt": "blue car"}, images={"image": "street.jpg"})

    ``servers`` is what ``read_servers`` takes: addresses, ``ServerSpec``, or a TOML or JSON file. Every server holds at
    most ``depth`` of the pool's jobs, one running and the rest waiting, so that the pool's own queue decides by
    ``priority``. A job goes to the server with the fewest jobs for its weight among those that have its nodes and
    models, and of equals to the one that used these models last.

    A server that fails is left alone for ``pauses[0]`` seconds, then longer each time up to ``pauses[1]``, until it
    answers and does a job. A job whose server goes away is waited for ``grace`` seconds; then, or as soon as the
    server is back without it, it is sent again, to another server if there is one. One that was running on two servers
    when they died is set aside (job_poison). A job that waits while none of its servers answers for ``patience``
    seconds fails (pool_down). ``timeout`` and ``stalled_after`` are those of ``Client``; ``clock`` gives seconds.

    Leaving the context waits for all jobs; leaving it by an exception cancels them. Any thread may use a pool.
    """

    def __init__(
        self,
        servers: Servers,
        *,
        depth: int = 2,
        timeout: float = 30.0,
        grace: float = 10.0,
        stalled_after: float | None = 900.0,
        patience: float = 120.0,
        pauses: tuple[float, float] = PAUSES,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._specs = read_servers(servers)
        if depth < 1:
            raise InputError("option_invalid", f"A depth of {depth} leaves no place for a job.", "Give 1 or more.")
        self._options = Options(depth, timeout, grace, stalled_after, patience, pauses, clock)
        self._scheduler: Scheduler | None = None

    def __enter__(self) -> "Pool":
        """Raises ``ServerError`` (pool_down) when no server answers."""
        self._scheduler = Scheduler(self._options)
        for spec in self._specs:
            self._scheduler.members[spec.key] = Member(spec, self._options)
        self._scheduler.start()
        try:
            health.wait_for_servers(self._scheduler)
        except BaseException:
            self.close(cancel=True)
            raise
        return self

    def __exit__(self, kind, *exc_info) -> None:
        self.close(cancel=kind is not None)

    def close(self, *, cancel: bool = False) -> None:
        """Wait for all jobs, or ``cancel`` them, and end. Idempotent."""
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is None:
            return
        try:
            while not cancel and (handles := list(scheduler.handles.values())):
                handles[0]._ended.wait()
        except BaseException:
            cancel = True
            raise
        finally:
            if cancel:
                lookup.in_parallel(Handle.cancel, list(scheduler.handles.values()))
            scheduler.stop()

    def submit(
        self,
        workflow: "str | Path | Mapping | Workflow | Prepared",
        *,
        settings: Mapping[str, Any] | None = None,
        images: "Mapping[str, Picture] | None" = None,
        mask: "str | Path | bytes | Image.Image | None" = None,
        seed: int | str | None = None,
        priority: float = 0,
        timeout: float | None = None,
        previews: bool = False,
        extra_metadata: Mapping[str, Any] | None = None,
        prompt_id: str | None = None,
        tag: Any = None,
    ) -> Handle:
        """Queue a job and return at once; the arguments that the function ``run`` has too mean the same.

        Of the jobs that wait the one with the highest ``priority`` is next. ``timeout`` is what the job may take on a
        server, its wait there included. ``prompt_id`` is an id of your own, a lowercase UUID: a server that knows it
        already is not given the job again, it is followed there; so write it down first, and a program that was
        killed can go on. ``tag`` is yours, kept as ``Handle.tag``.

        Raises ``InputError`` and ``WorkflowError`` for what is wrong here; what no server can do fails in ``wait``.
        """
        work = workflow
        if not isinstance(work, Prepared):
            work = prepare(self._load(workflow), settings=settings, images=images, mask=mask, seed=seed)
        options = {"timeout": timeout, "previews": previews, "extra_metadata": dict(extra_metadata or {})}
        known = prompt_id is not None
        prompt_id = canonical(prompt_id) if known else str(uuid.uuid4())
        handle = Handle(prompt_id, work, priority=priority, tag=tag, cancel=self._running.cancel, **options)
        for note in work.notes:
            handle.say(note)
        return self._take(handle, look=known)

    def attach(self, prompt_id: str) -> Handle:
        """A job that was submitted before, by this program or another.

        Raises ``JobError`` (job_lost) when no server that answers knows it.
        """
        return self._take(Handle(canonical(prompt_id), None, cancel=self._running.cancel), look=True)

    def run(
        self,
        workflow: "str | Path | Mapping | Workflow | Prepared",
        *,
        on_event: OnEvent | None = None,
        timeout: float | None = None,
        **options,
    ) -> RunResult:
        """Submit a job, wait for it, and return the files it made; ``options`` are those of ``submit``.

        After ``timeout`` seconds, the wait for a free server included, and on Ctrl-C, the job is cancelled. Raises
        ``InputError``, ``WorkflowError``, ``ServerError`` or ``JobError``.
        """
        handle = self.submit(workflow, **options)
        try:
            return handle.wait(timeout, on_event or (lambda event: None))
        except JobError as error:
            if error.code == "job_timeout" and not handle.is_ended and handle.cancel():
                message = f"The job did not finish within {timeout:g} s and was cancelled."
                raise JobError("job_timeout", message, error.hint, error.details) from error
            raise
        except BaseException:
            handle.cancel()  # of no effect on a job that ended
            raise

    def map(self, jobs: Iterable[Mapping[str, Any]]) -> Iterator[Handle]:
        """Submit many jobs and yield each as it ends, whatever its end: ``handle.wait()`` returns or raises.

        A job is a mapping of the arguments of ``submit``; its ``tag`` tells which one a handle is. ``jobs`` is read as
        places get free, so it may be long. A job that cannot even be submitted is a handle that failed.
        """
        ended: queue.SimpleQueue = queue.SimpleQueue()
        open_jobs = 0
        for job in jobs:
            try:
                handle = self.submit(**job)
            except ImageineError as error:
                handle = Handle(job.get("prompt_id") or str(uuid.uuid4()), None, tag=job.get("tag"))
                handle.end(None, error)
            handle.when_ended(ended.put)
            open_jobs += 1
            while open_jobs >= AHEAD * self._options.depth * max(len(self._running.members), 1):
                yield ended.get()
                open_jobs -= 1
        for _ in range(open_jobs):
            yield ended.get()

    def servers(self) -> list[ServerState]:
        """Every server and how it is."""
        with self._running.changed:
            return [member.state() for member in self._running.members.values()]

    def add(self, server: "str | Mapping | ServerSpec") -> None:
        """Use this server too, or again if it was drained."""
        spec = read_server(server)
        with self._running.changed:
            member = self._running.members.setdefault(spec.key, Member(spec, self._options))
            member.draining = False
            self._running.changed.notify_all()

    def drain(self, url: str, timeout: float | None = None) -> bool:
        """Give this server no more jobs and wait for those it has; whether they all ended within ``timeout`` s."""
        scheduler = self._running
        with scheduler.changed:
            member = self._member(url)
            member.draining = True
            scheduler.changed.notify_all()
            return scheduler.changed.wait_for(lambda: not member.jobs, timeout)

    def remove(self, url: str) -> None:
        """Forget this server. Jobs that it has are stopped there and sent elsewhere; ``drain`` lets them end first."""
        with self._running.changed:
            member = self._member(url)
            member.draining = True
            del self._running.members[member.url]
            self._running.recall(list(member.jobs))
            self._running.changed.notify_all()

    def object_info(self) -> dict:
        """Every node class that a server has, as the first of them describes it."""
        with self._running.changed:
            known = [member.object_info or {} for member in self._running.members.values()]
        return {name: info for classes in reversed(known) for name, info in classes.items()}

    def require_fit(self, job: Prepared) -> None:
        """Raise ``WorkflowError`` (workflow_unfit) when no server has what the job needs."""
        with self._running.changed:
            error = refusals.hopeless(Handle(str(uuid.uuid4()), job), self._running)
        if error is not None:
            raise error

    def perform(self, job: Prepared, tell: OnEvent, **options) -> RunResult:
        for note in job.notes:
            tell(Message(note))
        return self.run(job, on_event=tell, **options)

    def _load(self, workflow: "str | Path | Mapping | Workflow") -> Workflow:
        loaded = workflow if isinstance(workflow, Workflow) else Workflow.load(workflow)
        if loaded.needs_definitions:
            loaded = copy.deepcopy(loaded)
            loaded.resolve(self.object_info())
        return loaded

    @property
    def _running(self) -> Scheduler:
        if self._scheduler is None:
            raise RuntimeError("A Pool is used inside its context: with Pool(...) as pool")
        return self._scheduler

    def _member(self, url: str) -> Member:
        key = Address.parse(url).base
        if key not in self._running.members:
            known = ", ".join(self._running.members)
            raise InputError("option_invalid", f"The pool has no server {key}.", f"Its servers are {known}.")
        return self._running.members[key]

    def _take(self, handle: Handle, *, look: bool) -> Handle:
        scheduler = self._running
        with scheduler.changed:
            if handle.id in scheduler.handles:  # the same job, submitted twice
                return scheduler.handles[handle.id]
            members = list(scheduler.members.values())
        for member in members:
            member.problems(handle)  # here rather than under the lock
        if look:
            lookup.look_for(handle, members)
        scheduler.enqueue(handle)
        return handle
