"""The server's own account of a job: where it is, how many are before it, and how to cancel it alone."""

from dataclasses import dataclass

from .transport import Refused, Transport

PENDING, RUNNING, DONE, UNKNOWN = "pending", "running", "done", "unknown"


@dataclass(frozen=True)
class State:
    """``phase`` is one of the four above; ``entry`` the history entry of a job that is done."""

    phase: str
    entry: dict | None = None


@dataclass(frozen=True)
class Place:
    """``ahead`` jobs come before this one, ``running`` are the ids of those that run."""

    ahead: int
    running: tuple[str, ...]


class JobApi:
    """``/api/jobs`` where the server has it, else queue, history and interrupt.

    Queue before history, never the reverse: a job that ends between the two requests would be in neither.
    """

    def __init__(self, transport: Transport):
        self._transport = transport
        self._has_jobs_api = True

    def state(self, prompt_id: str, likely_done: bool = False, **options) -> State:
        """Where the job is; ``options`` (timeout, session) go to the requests. Raises ``ServerError`` when the server
        does not say."""
        # Presence in the history says all; only absence means nothing until the queue was looked at first.
        entry = self._history(prompt_id, options) if likely_done else None
        if entry:
            return State(DONE, entry)
        if self._has_jobs_api:
            try:
                return self._from_jobs(prompt_id, options)
            except Refused as error:
                # Servers before /api/jobs have no such route; one job's odd metadata can also make it fail.
                if error.status not in (404, 405, 500):
                    raise
                self._has_jobs_api = error.status == 500
        return self._from_queue(prompt_id, options)

    def place(self, prompt_id: str) -> Place | None:
        """Where in the queue the job waits, None when it does not."""
        queue = self._transport.get_json("/queue")
        running = tuple(item[1] for item in queue.get("queue_running", ()))
        waiting = [item[1] for item in sorted(queue.get("queue_pending", ()), key=lambda item: item[0])]
        return Place(len(running) + waiting.index(prompt_id), running) if prompt_id in waiting else None

    def cancel(self, prompt_id: str, **options) -> None:
        """Take the job out of the queue, or ask it to stop if it runs. No effect on others, or once it ended."""
        if self._has_jobs_api:
            try:
                self._transport.send("POST", f"/api/jobs/{prompt_id}/cancel", **options)
                return
            except Refused as error:
                if error.status not in (404, 405):
                    raise
        self._transport.send("POST", "/queue", json={"delete": [prompt_id]}, **options)
        # An interrupt is for whatever runs: send it only while that is our job, and name the job as well.
        queue = self._transport.send("GET", "/queue", **options).json()
        if any(item[1] == prompt_id for item in queue.get("queue_running", ())):
            self._transport.send("POST", "/interrupt", json={"prompt_id": prompt_id}, **options)

    def _from_jobs(self, prompt_id: str, options: dict) -> State:
        try:
            job = self._transport.get_json(f"/api/jobs/{prompt_id}", **options)
        except Refused as error:
            if error.status == 404 and isinstance(error.body, dict):  # the route is there, the job is not
                return State(UNKNOWN)
            raise
        if job.get("status") == "pending":
            return State(PENDING)
        if job.get("status") == "in_progress":
            return State(RUNNING)
        entry = self._history(prompt_id, options)
        return State(DONE, entry or {"outputs": job.get("outputs"), "status": job.get("execution_status")})

    def _from_queue(self, prompt_id: str, options: dict) -> State:
        queue = self._transport.get_json("/queue", **options)
        for phase, key in ((RUNNING, "queue_running"), (PENDING, "queue_pending")):
            if any(item[1] == prompt_id for item in queue.get(key, ())):
                return State(phase)
        entry = self._history(prompt_id, options)
        return State(DONE, entry) if entry else State(UNKNOWN)

    def _history(self, prompt_id: str, options: dict) -> dict | None:
        return self._transport.get_json(f"/history/{prompt_id}", **options).get(prompt_id)
