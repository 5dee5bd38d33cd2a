"""Finding a job that was submitted before, by this program or another."""

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..client.job_api import UNKNOWN
from ..errors import ImageineError, JobError
from .handle import Handle
from .member import Member


def look_for(handle: Handle, members: list[Member]) -> None:
    """Find the server that knows the job; those that do not answer are asked when they are back.

    Raises ``JobError`` (job_lost) when none knows it and there is nothing to send anew.
    """
    phases = in_parallel(lambda member: _ask(member, handle.id), members)
    for member, phase in zip(members, phases, strict=True):
        if phase is None:
            member.orphans[handle.id] = handle
        elif phase != UNKNOWN and handle.found is None:
            handle.found = member
    if handle.found is None and handle.work is None:
        silent = [member.url for member, phase in zip(members, phases, strict=True) if phase is None]
        rest = f" {', '.join(silent)} did not answer." if silent else ""
        text = f"No server of the pool knows the job {handle.id}.{rest}"
        raise JobError("job_lost", text, "Submit it again.", {"prompt_id": handle.id, "silent": silent})


def in_parallel(call: Callable[[Any], Any], items: list) -> list:
    """``call`` of every item, each in a thread of its own; the results in order."""
    if not items:
        return []
    with ThreadPoolExecutor(max_workers=len(items)) as threads:
        return list(threads.map(call, items))


def _ask(member: Member, prompt_id: str) -> str | None:
    with contextlib.suppress(ImageineError):
        return member.client.state(prompt_id)
    return None
