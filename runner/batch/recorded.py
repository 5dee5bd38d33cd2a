"""One job's way to the server or servers: every prompt id is on disk before its prompt is sent."""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from ..client import Client
from ..errors import ImageineError, JobCancelled
from ..jobs import OnEvent, Place, Prepared, RunResult, cancelling
from ..pool import Pool


class Recorded(Place):
    """``place`` for the prompts of one job, in their order: an edit in several parts has several.

    ``ids`` are those of an earlier try: a server that still has such a prompt is not given it again, it is followed
    there. ``record(prompt_id)`` puts a new one on disk. ``cancel`` may come from another thread.
    """

    def __init__(self, place: Client | Place, ids: list[str], record: Callable[[str], None]):
        self.ids = list(ids)
        self.is_resumed = bool(ids)
        self._place = place
        self._record = record
        self._part = 0
        self._lock = threading.Lock()
        self._cancelled = False
        self._job: Any = None

    def object_info(self) -> dict:
        return self._place.object_info()

    def require_fit(self, job: Prepared) -> None:
        job.require_fit(self._place)

    def perform(self, job: Prepared, tell: OnEvent, **options: Any) -> RunResult:
        if self._cancelled:
            raise JobCancelled("job_cancelled", "The job was cancelled.")
        if self._part == len(self.ids):
            prompt_id = str(uuid.uuid4())
            self._record(prompt_id)
            self.ids.append(prompt_id)
        prompt_id = self.ids[self._part]
        self._part += 1
        if isinstance(self._place, Pool):
            return self._on_pool(self._place, job, tell, prompt_id, **options)
        return self._on_server(self._place, job, tell, prompt_id, **options)

    def cancel(self) -> None:
        """Stop the prompt that is on a server now, and send no other."""
        with self._lock:
            self._cancelled = True
            job = self._job
        if job is not None:
            with contextlib.suppress(ImageineError):  # it is followed on, and may be stopped by hand
                job.cancel()

    def _hold(self, job: Any) -> None:
        with self._lock:
            self._job = job
            cancelled = self._cancelled
        if cancelled:  # asked for while there was nothing yet to cancel
            job.cancel()

    def _on_pool(self, pool: Pool, job: Prepared, tell: OnEvent, prompt_id: str, **options: Any) -> RunResult:
        handle = pool.submit(job, prompt_id=prompt_id, **options)
        self._hold(handle)
        return handle.wait(on_event=tell)

    def _on_server(
        self,
        client: Client,
        job: Prepared,
        tell: OnEvent,
        prompt_id: str,
        *,
        timeout: float | None,
        previews: bool,
        extra_metadata: Any,
    ) -> RunResult:
        started = time.monotonic()
        job.upload(client)
        if self._cancelled:
            raise JobCancelled("job_cancelled", "The job was cancelled.")
        with cancelling(client, prompt_id, timeout):
            sent = job.submit(client, tell, prompt_id, previews=previews)
            self._hold(sent)
            result = sent.wait(timeout, tell)
        return job.collect(client, result, started, extra_metadata or {})


def places_of(place: Any) -> int:
    """How many jobs to keep under way: two for a server, one that runs and one that is next."""
    if isinstance(place, Pool):
        return 2 * len(place.servers())
    return 2 if isinstance(place, Client) else 1  # without ComfyUI there is one processor and no queue
