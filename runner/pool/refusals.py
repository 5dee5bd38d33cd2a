"""Which jobs no server of a pool can do, and why."""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import ImageineError, ServerError, WorkflowError
from .handle import Handle
from .member import Member

if TYPE_CHECKING:
    from .scheduler import Scheduler

REVIEW_SECONDS = 0.25


def give_up(scheduler: "Scheduler") -> None:
    """End the waiting jobs that no server can do. Called under the lock."""
    if time.monotonic() < scheduler.review_at:
        return
    scheduler.review_at = time.monotonic() + REVIEW_SECONDS
    for handle in list(scheduler.waiting):
        error = hopeless(handle, scheduler)
        if error is not None:
            scheduler.finish(handle, error=error)


def hopeless(handle: Handle, scheduler: "Scheduler") -> BaseException | None:
    """Why the job need not wait any longer; None while a server may yet do it."""
    members = [member for member in scheduler.members.values() if not member.draining]
    hopes = [member for member in members if handle.may_go_to(member)]
    if handle.found is not None:
        return None
    if hopes:
        since = scheduler.options.clock() - scheduler.options.patience
        down = [member for member in hopes if member.down_since is not None and member.down_since <= since]
        return none_answers(down, scheduler.options.patience) if len(down) == len(hopes) else None
    if not members:
        return ServerError("pool_down", "The pool has no server left.", "Add one, or end the draining of one.")
    if handle.excluded:
        return list(handle.excluded.values())[-1]
    return unfit(handle, members)


def none_answers(members: Iterable[Member], patience: float = 0.0) -> ServerError:
    """The error that none of the servers can be used."""
    reasons = {member.url: member.breaker.reason for member in members}
    lines = "".join(f"\n  - {url}: {reason}" for url, reason in reasons.items())
    span = f" for {patience:g} s" if patience else ""
    hint = "Start ComfyUI there, or give other addresses with --server."
    return ServerError("pool_down", f"No server of the pool could be used{span}:{lines}", hint, {"servers": reasons})


def unfit(handle: Handle, members: list[Member]) -> ImageineError:
    """The error that says of every server what it lacks; servers that lack the same are named together."""
    lacks: dict[tuple, list[Member]] = {}
    for member in members:
        key = tuple(problem.message for problem in member.problems(handle))
        lacks.setdefault(key, []).append(member)
    lines, hints = "", {}
    for messages, group in lacks.items():
        lines += f"\n  {', '.join(member.url for member in group)}:"
        lines += "".join(f"\n    - {message}" for message in messages)
        hints |= {problem.hint: None for problem in group[0].problems(handle) if problem.hint}
    details = {member.url: [problem.as_dict() for problem in member.problems(handle)] for member in members}
    text = f"No server of the pool can run '{handle.work.workflow.name}':{lines}"
    return WorkflowError("workflow_unfit", text, "\n".join(hints), {"problems": details})
