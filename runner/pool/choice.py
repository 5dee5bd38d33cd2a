"""Which of the waiting jobs goes to which server next."""

from collections.abc import Iterator, Sequence
from itertools import groupby, islice

from .handle import Handle
from .member import Member

COLD = 0.5  # what loading all of a job's models costs, in jobs that wait: below 1, no server stays idle for it
WINDOW = 16  # how many jobs of one priority are looked at together
PASSED = 8  # how often a job may be overtaken by later ones of its priority


def choose(waiting: Sequence[Handle], members: Sequence[Member], depth: int) -> tuple[Handle, Member] | None:
    """The next (job, server), or None when no waiting job has a server with room.

    ``waiting`` is in order of priority and age. Within the highest priority that has such a job the cheapest pair is
    taken, by ``cost``; a job that found its way back to the server that has it goes before all.
    """
    for handle in waiting:
        if handle.found is not None:
            return handle, handle.found
    open_members = [member for member in members if member.free(depth) > 0]
    if not open_members:
        return None
    for _, group in groupby(waiting, key=lambda handle: handle.priority):
        pairs = list(islice(_pairs(group, open_members), WINDOW))
        if pairs:
            return _best(pairs)
    return None


def cost(handle: Handle, member: Member) -> float:
    """Jobs before this one on the server, itself included, by the server's weight; and ``COLD`` for the share of its
    models that the server did not use last."""
    cold = len(handle.models - member.models) / len(handle.models) if handle.models else 0.0
    return (len(member.jobs) + member.others + 1) / member.spec.weight + COLD * cold


def _pairs(group: Iterator[Handle], members: Sequence[Member]) -> Iterator[tuple[Handle, Member]]:
    """Each job of the group with its cheapest server, if one has room for it and what it needs."""
    for handle in group:
        fitting = [member for member in members if handle.may_go_to(member)]
        if fitting:
            yield handle, min(fitting, key=lambda member: cost(handle, member))


def _best(pairs: list[tuple[Handle, Member]]) -> tuple[Handle, Member]:
    impatient = next((pair for pair in pairs if pair[0].passed >= PASSED), None)
    best = impatient or min(pairs, key=lambda pair: cost(*pair))  # of equals the first, which is the oldest
    for handle, _ in pairs[: pairs.index(best)]:
        handle.passed += 1
    return best
