"""The heart of a pool: which jobs wait, which are on which server, and what becomes of them when one fails.

One thread places jobs and looks after servers; every job on a server has a thread that carries it out. Whatever they
change they change under ``changed``, the one lock, and no request to a server is made under it.
"""

import bisect
import contextlib
import threading

from ..client.transport import Unreachable
from ..errors import ImageineError, JobCancelled, JobError
from ..jobs import RunResult
from . import health, refusals
from .attempt import attempt
from .choice import choose
from .handle import FETCHING, RUNNING, UPLOADING, Handle
from .member import Member, Options
from .verdict import Verdict, judge

TICK_SECONDS = 0.25  # how late a pause may end
POISON_LOSSES = 2  # servers lost while they ran a job, before it is set aside
RETRIES = 1  # how often a job goes elsewhere because a server refused it or could not do it


class Scheduler:
    """The jobs and servers of a pool."""

    def __init__(self, options: Options):
        self.options = options
        self.changed = threading.Condition(threading.RLock())
        self.members: dict[str, Member] = {}
        self.waiting: list[Handle] = []  # by priority, then age
        self.handles: dict[str, Handle] = {}  # all that have not ended, by id
        self.review_at = 0.0
        self._numbers = 0
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="imageine-pool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self.changed:
            self._closed = True
            self.changed.notify_all()
        self._thread.join()
        for member in self.members.values():
            member.client.close()

    def enqueue(self, handle: Handle) -> None:
        """Take a new job."""
        with self.changed:
            self._numbers += 1
            handle.number = self._numbers
            self.handles[handle.id] = handle
            error = refusals.hopeless(handle, self)
            if error is None:
                self._wait(handle)
            else:
                self.finish(handle, error=error)

    def finish(self, handle: Handle, result: RunResult | None = None, error: BaseException | None = None) -> None:
        """End the job, wherever it is."""
        with self.changed:
            if handle in self.waiting:
                self.waiting.remove(handle)
            self.handles.pop(handle.id, None)
            for member in self.members.values():
                if handle.id_on(member.url) in member.orphans:  # only the id is needed now, to cancel it there
                    member.orphans[handle.id_on(member.url)] = None
            handle.end(result, error)
            self.changed.notify_all()

    def cancel(self, handle: Handle, wait: float) -> None:
        """Cancel the job in the queue or on its server; where the server does not answer, when it is back."""
        with self.changed:
            handle.cancelled = True
            job = handle.job
            if handle in self.waiting:
                self.finish(handle, error=_cancelled(handle))
        if job is not None and not handle.is_ended:
            try:
                job.cancel(wait)
            except Unreachable:
                self.finish(handle, error=_cancelled(handle))

    def recall(self, handles: list[Handle]) -> None:
        """Take jobs back from their server, to be sent elsewhere."""
        for handle in handles:
            handle.recalled = True
            if handle.job is not None:
                threading.Thread(target=_quietly_cancel, args=(handle.job,), daemon=True).start()

    def _wait(self, handle: Handle) -> None:
        handle.stage = ""
        bisect.insort(self.waiting, handle, key=lambda other: (-other.priority, other.number))
        self.changed.notify_all()

    def _loop(self) -> None:
        with self.changed:
            try:
                while not self._closed:
                    health.look_after(self)
                    refusals.give_up(self)
                    while (pair := choose(self.waiting, list(self.members.values()), self.options.depth)) is not None:
                        self._place(*pair)
                    self.changed.wait(TICK_SECONDS)
            except Exception as error:  # nobody would place jobs any more: let no one wait for them
                for handle in list(self.handles.values()):
                    self.finish(handle, error=error)
                raise

    def _place(self, handle: Handle, member: Member) -> None:
        self.waiting.remove(handle)
        handle.found, handle.job, handle.blamed, handle.recalled = None, None, None, False
        member.orphans.pop(handle.id_on(member.url), None)  # the server is asked for it as it is sent
        handle.attempts += 1
        handle.server, handle.stage = member.url, UPLOADING
        if len(self.members) > 1:
            handle.say(f"Using the ComfyUI at {member.url}.")
        handle.sent = threading.Event()
        handle.after = [other.sent for other in member.jobs]
        member.jobs.append(handle)
        member.models = handle.models or member.models
        self.changed.notify_all()
        threading.Thread(target=self._carry, args=(handle, member), name=f"imageine-{handle.id}", daemon=True).start()

    def _carry(self, handle: Handle, member: Member) -> None:
        result, error, info = None, None, None
        try:
            result = attempt(handle, member, self.options.grace)
        except BaseException as caught:  # it must reach who waits for the job, whatever it is
            error = caught
            handle.sent.set()
            if getattr(error, "code", "") == "job_rejected":  # what it has may have changed
                info = health.ask_object_info(member)
        with self.changed:
            try:
                if result is not None:
                    self._done(handle, member, result)
                else:
                    member.learn(info)
                    self._failed(handle, member, error)
            except Exception as caught:  # or nobody would ever hear of the job again
                self.finish(handle, error=caught)
                raise
            finally:
                member.jobs.remove(handle)
                self.changed.notify_all()

    def _done(self, handle: Handle, member: Member, result: RunResult) -> None:
        member.breaker.success()
        member.down_since = None
        member.done += 1
        self.finish(handle, result)

    def _failed(self, handle: Handle, member: Member, error: BaseException) -> None:
        verdict = judge(error)
        if verdict.may_remain and handle.stage != UPLOADING:
            member.orphans[handle.id_on(member.url)] = handle
        self._charge(handle, member, verdict, error)
        if handle.recalled or verdict.zombie:  # it was cancelled there
            handle.renew_id(member.url)
        if handle.is_ended or handle.cancelled:
            self.finish(handle, error=_cancelled(handle))
        elif handle.work is None:  # nothing to send again
            self.finish(handle, error=error)
        elif handle.recalled and isinstance(error, JobCancelled):
            self._wait(handle)
        elif verdict.move or (verdict.stale and member.problems(handle)):
            self._move(handle, member, verdict, error)
        else:
            self.finish(handle, error=error)

    def _charge(self, handle: Handle, member: Member, verdict: Verdict, error: BaseException) -> None:
        """The consequences for the server."""
        reason = error.message if isinstance(error, ImageineError) else str(error)
        if verdict.lost and handle.blamed is None:
            _blame(member.jobs)
        if verdict.zombie and not member.stuck:
            stuck = next((other for other in member.jobs if other.blamed), handle)
            member.stuck = stuck.id_on(member.url)
            self.recall([other for other in member.jobs if not other.blamed])
        if verdict.stale:
            member.stale = True
            member.check_at = 0.0
        if verdict.trip:
            member.breaker.trip(reason)
        elif verdict.fault:
            member.breaker.failure(reason)
        elif getattr(error, "code", "") == "job_failed" and not verdict.move:
            member.breaker.success()  # the server did its part

    def _move(self, handle: Handle, member: Member, verdict: Verdict, error: BaseException) -> None:
        handle.losses += bool(verdict.lost and handle.blamed)
        if handle.losses >= POISON_LOSSES:
            self.finish(handle, error=_poisonous(handle, error))
            return
        if verdict.exclude:
            handle.excluded[member.url] = error
            if len(handle.excluded) > RETRIES:
                self.finish(handle, error=error)
                return
        handle.say(f"{getattr(error, 'message', error)} The job is sent again.")
        self._wait(handle)


def _blame(handles: list[Handle]) -> None:
    """Say which of the jobs on a lost server, in the order they were sent there, may have been the cause: what ran, or
    else what was to run next."""
    running = [handle for handle in handles if handle.stage == RUNNING]
    sent = [handle for handle in handles if handle.stage not in (UPLOADING, FETCHING, "")]
    suspects = running or sent[:1]
    for handle in handles:
        handle.blamed = handle in suspects


def _poisonous(handle: Handle, error: BaseException) -> JobError:
    text = f"The job was running on {handle.losses} servers when each of them died or got stuck, and is set aside."
    hint = "The servers' logs say how they ended. Out of memory: a smaller picture. Else one of its nodes is broken."
    details = {"prompt_id": handle.id, "losses": handle.losses, "server": handle.server, "last": str(error)}
    return JobError("job_poison", text, hint, details)


def _cancelled(handle: Handle) -> JobCancelled:
    return JobCancelled("job_cancelled", "The job was cancelled.", "", {"prompt_id": handle.id})


def _quietly_cancel(job) -> None:
    with contextlib.suppress(ImageineError):
        job.cancel()
