"""One job on one server: upload, submit, follow, fetch."""

import time
from typing import TYPE_CHECKING

from ..client import Job
from ..client.outcome import graph_of
from ..client.transport import Unreachable
from ..errors import JobCancelled, ServerError
from ..jobs import Prepared, RunResult, cancelling
from ..workflow import Workflow
from ..workflow.pictures import Pictures
from .handle import FETCHING, SUBMITTING, UPLOADING, WAITING, Handle

if TYPE_CHECKING:
    from ..client import Client, JobResult
    from .member import Member

FOLLOW_TRIES = 3
FETCH_PAUSE = 0.2


def attempt(handle: Handle, member: "Member", grace: float) -> RunResult:
    """Carry the job out. Raises every error that ``Prepared.run`` raises."""
    client, started = member.client, time.monotonic()
    prompt_id = handle.id_on(member.url)
    if handle.work is None:
        handle.stage = WAITING
        job = client.attach(prompt_id)
    else:
        handle.stage = UPLOADING
        handle.work.upload(client)
        for sent in handle.after:  # a server runs its jobs as they arrive
            sent.wait()
        if handle.cancelled or handle.recalled:
            raise JobCancelled("job_cancelled", "The job was cancelled.", "", {"prompt_id": handle.id})
        handle.stage = SUBMITTING
        job = _submit(handle, client, prompt_id)
    handle.job = job
    handle.sent.set()
    if handle.cancelled or handle.recalled:  # asked for while there was nothing yet to cancel
        job.cancel()
    with cancelling(client, prompt_id, handle.timeout):
        result = _follow(handle, job)
    handle.stage = FETCHING
    return _collect(handle, client, result, started, grace)


def _submit(handle: Handle, client: "Client", prompt_id: str) -> Job:
    try:
        return handle.work.submit(client, handle.tell, prompt_id, previews=handle.previews)
    except Unreachable as error:
        if not error.sent:
            raise
        # It may have arrived: following it finds out, and says whether it can be sent again.
        return client.attach(prompt_id)


def _follow(handle: Handle, job: Job) -> "JobResult":
    for last in [False] * (FOLLOW_TRIES - 1) + [True]:
        try:
            return job.wait(handle.timeout, handle.tell)
        except Unreachable:  # while it looked whether the files are there; the job itself survives an outage
            if last:
                raise
    raise AssertionError("the loop returns or raises")


def _collect(handle: Handle, client: "Client", result: "JobResult", started: float, grace: float) -> RunResult:
    """Fetch the files. They are on the server's disk: if it dies now they are there again after a restart."""
    work = handle.work or Prepared(Workflow(graph_of(result.history)), Pictures(), [])
    until = time.monotonic() + grace
    while True:
        try:
            return work.collect(client, result, started, handle.extra_metadata)
        except Unreachable as error:
            if time.monotonic() >= until:
                text = f"The job is done, but the server went away with its files. {error.message}"
                raise ServerError("server_lost", text, error.hint, {"prompt_id": handle.id}) from error
        time.sleep(FETCH_PAUSE)
