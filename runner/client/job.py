"""One submitted workflow: follow it, wait for it, cancel it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import websocket

from ..errors import ImageineError, JobCancelled, JobError, ServerError
from .channel import Channel
from .events import Decoder, Ended, Event, Finished, Message, Queued, Reconnected, Started
from .job_api import DONE, PENDING, RUNNING, UNKNOWN, JobApi, State
from .outcome import JobResult, failure, graph_of, is_interrupted, read_result
from .transport import Refused, Unreachable

POLL_SECONDS = 1.0  # while events arrive
FIRST_POLL_SECONDS = 0.25
SOON_SECONDS = 0.005  # after a hint that the job ended, doubled each time it has not
CANCEL_AGAIN_SECONDS = 2.0
RECONNECT_SECONDS = (0.5, 30.0)  # first and longest wait before the socket is tried again
SILENT_SECONDS = 10.0  # after a reconnect: then the server may have forgotten the new socket
BUSY_QUEUE_FACTOR = 4  # how much longer than ``stalled_after`` the job before ours may run


@dataclass
class _Watch:
    """What is known while a job is followed; times are ``time.monotonic``."""

    deadline: float | None
    timeout: float | None
    next_poll: float = 0.0
    pause: float = FIRST_POLL_SECONDS
    active: float = field(default_factory=time.monotonic)  # the latest sign that the job moves
    phase: str = UNKNOWN
    place: tuple = ()
    down_since: float | None = None
    outage: bool = False
    unknown: int = 0
    reconnect_at: float = 0.0
    reconnect_pause: float = RECONNECT_SECONDS[0]
    recheck_at: float | None = None
    cancel_sent: float = 0.0


class Job:
    """A workflow that the server has taken. Made by ``Client.submit`` and ``Client.attach``.

    The socket's events are hints that make it prompt; the server's queue and history, asked again and again, are
    the truth. ``events`` and ``wait`` belong to one thread; ``cancel`` may be called from any, also from a signal
    handler that interrupts them.
    """

    def __init__(
        self, prompt_id: str, graph: dict, api: JobApi, channel: Channel | None, node_errors: dict, **options: Any
    ):
        self.id = prompt_id
        self.graph = graph
        self.node_errors = node_errors
        self.result: JobResult | None = None
        self._api = api
        self._channel = channel
        self._decoder = Decoder(prompt_id, len(graph))
        self._cancelled = False
        self._started = False
        self._verify: Callable[[JobResult, set[str]], None] = options["verify"]
        self._give_back: Callable[[Channel], None] = options["give_back"]
        self._new_session = options["new_session"]
        self._grace: float = options["grace"]
        self._stalled_after: float | None = options["stalled_after"]

    def wait(self, timeout: float | None = None, on_event: Callable[[Event], None] | None = None) -> JobResult:
        """Follow the job to its end and return its result; errors as ``events`` raises them."""
        for event in self.events(timeout):
            if on_event is not None:
                on_event(event)
        return self.result

    def events(self, timeout: float | None = None) -> Iterator[Event]:
        """Yield what the job does until it succeeded; the last event is ``Finished``.

        Raises ``JobError`` (job_failed, job_interrupted, job_lost, job_stalled, output_missing), ``ServerError``
        (server_lost) and ``JobCancelled``. After ``timeout`` seconds it raises ``JobError`` (job_timeout) and
        leaves the job running: cancel it, or call again.
        """
        watch = _Watch(None if timeout is None else time.monotonic() + timeout, timeout)
        watch.phase = PENDING if self.graph else UNKNOWN  # a job that was submitted is in the queue at first
        watch.pause = FIRST_POLL_SECONDS if self._is_connected else SOON_SECONDS
        watch.next_poll = time.monotonic() + watch.pause
        try:
            while self.result is None:
                yield from self._listen(watch)
                yield from self._ask(watch)
            yield Finished()
        finally:
            self._let_go()

    def cancel(self, wait: float = 5.0) -> bool:
        """Stop this job on the server, waiting or running; no other job is touched.

        True once the server no longer works on it; False when it has not stopped ``wait`` seconds after (it stops
        between steps). A job that has already ended stays as it is. Raises ``ServerError`` if the server cannot
        be asked.
        """
        self._cancelled = True
        until = time.monotonic() + wait
        # A session of its own: the other one may be in use by the very code that a signal handler interrupted.
        with self._new_session() as session:
            while True:
                self._api.cancel(self.id, session=session)
                for pause in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4):
                    if self._api.state(self.id, session=session).phase in (DONE, UNKNOWN):
                        return True
                    if time.monotonic() >= until:
                        return False
                    time.sleep(pause)

    @property
    def _is_connected(self) -> bool:
        return self._channel is not None and self._channel.is_open

    def _let_go(self) -> None:
        """Have the channel serve the next job if all went well on it, else close it; it may be opened again."""
        if self._channel is None:
            return
        if self.result is not None and self._decoder.verdict is not None:
            channel, self._channel = self._channel, None
            self._give_back(channel)
        else:
            self._channel.close()

    def _listen(self, watch: _Watch) -> Iterator[Event]:
        """Yield the socket's events until it is time to ask the server."""
        while (left := watch.next_poll - time.monotonic()) > 0:
            if not self._is_connected:
                yield from self._reconnect(watch)
            if not self._is_connected:
                time.sleep(min(left, 0.1))
                continue
            try:
                frame = self._channel.get(left)
            except EOFError:
                watch.outage = True
                watch.reconnect_at = time.monotonic() + watch.reconnect_pause
                watch.next_poll, watch.pause = time.monotonic(), FIRST_POLL_SECONDS
                return
            for event in self._decoder.decode(frame) if frame is not None else ():
                watch.active, watch.recheck_at = time.monotonic(), None
                if isinstance(event, Ended):
                    wait = 0.0 if event.recorded else SOON_SECONDS
                    watch.next_poll, watch.pause = time.monotonic() + wait, SOON_SECONDS
                    break
                self._started = self._started or isinstance(event, Started)
                yield event

    def _reconnect(self, watch: _Watch) -> Iterator[Event]:
        now = time.monotonic()
        if self._channel is None or now < watch.reconnect_at:
            return
        try:
            self._channel.open()
        except (OSError, websocket.WebSocketException) as error:
            if watch.reconnect_pause == RECONNECT_SECONDS[0]:
                yield Message(f"No events from the server ({error}); asking it for the state instead.")
            watch.reconnect_pause = min(watch.reconnect_pause * 2, RECONNECT_SECONDS[1])
            watch.reconnect_at = now + watch.reconnect_pause
            return
        watch.reconnect_pause = RECONNECT_SECONDS[0]
        watch.recheck_at = now + SILENT_SECONDS
        yield Reconnected()

    def _ask(self, watch: _Watch) -> Iterator[Event]:
        """Ask the server where the job is and draw the consequences."""
        now = time.monotonic()
        if watch.deadline is not None and now >= watch.deadline:
            text = f"The job did not finish within {watch.timeout:g} s; it is still on the server."
            raise JobError("job_timeout", text, "Allow more time with --timeout.", {"prompt_id": self.id})
        state = self._state(watch)
        if state is not None:
            watch.down_since = None
            watch.unknown = watch.unknown + 1 if state.phase == UNKNOWN else 0
            if state.phase == DONE:
                self._finish(state.entry)
                return
            if state.phase == UNKNOWN:
                self._missing(watch)
            else:
                yield from self._alive(watch, state)
        self._schedule(watch)

    def _schedule(self, watch: _Watch) -> None:
        now = time.monotonic()
        if watch.recheck_at is not None and now >= watch.recheck_at and self._is_connected:
            # The handler of the dropped socket, ending late, makes the server forget the new one (same id). This
            # time the old one is surely closed.
            watch.recheck_at, watch.reconnect_at = None, 0.0
            self._channel.close()
        watch.next_poll = now + watch.pause
        watch.pause = min(watch.pause * 2, POLL_SECONDS)
        if watch.deadline is not None:
            watch.next_poll = min(watch.next_poll, watch.deadline)

    def _state(self, watch: _Watch) -> State | None:
        """The server's answer, None when there is none and that may yet change."""
        options = {} if watch.deadline is None else {"timeout": max(watch.deadline - time.monotonic(), 0.1)}
        try:
            return self._api.state(self.id, likely_done=self._decoder.verdict is not None, **options)
        except Refused as error:
            if error.status < 500:
                raise
            reason: ImageineError = error
        except Unreachable as error:
            reason = error
            if error.timed_out:  # connected, yet no answer: a server that is busy, not one that is gone
                self._check_stall(watch, "does not answer", self._stalled_after)
                return None
        now = time.monotonic()
        watch.outage = True
        watch.down_since = watch.down_since or now
        if now - watch.down_since >= self._grace:
            raise ServerError(
                "server_lost",
                f"The server went away while the job ran, and was not back after {self._grace:g} s. {reason.message}",
                "Look at its log, start it again and submit the job again.",
                {"prompt_id": self.id},
            ) from reason
        return None

    def _alive(self, watch: _Watch, state: State) -> Iterator[Event]:
        """The job waits or runs."""
        now = time.monotonic()
        if state.phase != watch.phase:
            watch.phase, watch.active = state.phase, now
        if self._cancelled and now - watch.cancel_sent >= CANCEL_AGAIN_SECONDS:
            # An interrupt that lands between the queue and the start of the run is wiped by the server.
            watch.cancel_sent = now
            self._api.cancel(self.id)
        if state.phase == RUNNING:
            if not self._started:
                self._started = True
                yield Started(len(self.graph))
            if self._is_connected:  # without events nothing tells a dead worker from a slow node
                self._check_stall(watch, "runs, but sends no sign of life", self._stalled_after)
            return
        place = self._api.place(self.id)
        if place is not None and (place.ahead, place.running) != watch.place:
            if not watch.place or place.ahead != watch.place[0]:
                yield Queued(place.ahead)
            watch.place, watch.active = (place.ahead, place.running), now
        limit = self._stalled_after
        if limit is not None and place is not None and place.running:
            limit *= BUSY_QUEUE_FACTOR
        self._check_stall(watch, "waits, and the queue does not move", limit)

    def _check_stall(self, watch: _Watch, what: str, limit: float | None) -> None:
        silent = time.monotonic() - watch.active
        if limit is not None and silent >= limit:
            raise JobError(
                "job_stalled",
                f"The job {what}, for {silent:.0f} s.",
                "The server's worker may be dead, which only a restart of ComfyUI mends: look at its log.",
                {"prompt_id": self.id, "phase": watch.phase},
            )

    def _missing(self, watch: _Watch) -> None:
        """The server is up and does not know the job."""
        details = {"prompt_id": self.id}
        if self._cancelled:
            raise JobCancelled("job_cancelled", "The job was cancelled.", "", details)
        if self._decoder.verdict is not None:  # it ended, and somebody cleared the history since
            name, data = self._decoder.verdict
            status = {"status_str": "success" if name == "execution_success" else "error", "messages": [[name, data]]}
            self._finish({"outputs": self._decoder.outputs, "status": status})
        elif watch.unknown > 1:
            if watch.outage:
                text = "The server was restarted and has forgotten the job."
                raise JobError("job_lost", text, "Submit it again.", details)
            if watch.phase == PENDING:
                text = "The job is no longer in the server's queue: somebody removed it."
                raise JobError("job_interrupted", text, "Submit it again if that was not meant.", details)
            raise JobError("job_lost", "The server no longer knows the job.", "Submit it again.", details)

    def _finish(self, entry: dict) -> None:
        if is_interrupted(entry):
            if self._cancelled:
                raise JobCancelled("job_cancelled", "The job was cancelled.", "", {"prompt_id": self.id})
            text = "Somebody else stopped the job on the server."
            raise JobError("job_interrupted", text, "Submit it again if that was not meant.", {"prompt_id": self.id})
        error = failure(self.graph or graph_of(entry), entry)
        if error is not None:
            raise error
        result = read_result(self.id, entry)
        # Of a run that was followed to its end: what was not taken from an earlier one was written just now.
        followed = self._decoder.verdict is not None and self._decoder.cached is not None
        self._verify(result, set(self.graph) - self._decoder.cached if followed else set())
        self.result = result
