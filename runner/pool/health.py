"""Looking after the servers of a pool: are they there, what do they have, and which lost jobs do they still hold."""

import contextlib
import threading
from typing import TYPE_CHECKING

from ..client.job_api import PENDING, RUNNING, UNKNOWN
from ..client.transport import Unreachable
from ..errors import ImageineError
from . import refusals
from .breaker import OPEN
from .member import Member

if TYPE_CHECKING:
    from .scheduler import Scheduler

CHECK_SECONDS = 5.0  # between looks at a server that is in use
START_SECONDS = 3.0  # how long the slower servers are waited for at the start, once one has answered


def wait_for_servers(scheduler: "Scheduler") -> None:
    """Wait until it is known which servers answer. Raises ``ServerError`` (pool_down) when none does."""
    with scheduler.changed:
        members = list(scheduler.members.values())

        def all_known() -> bool:
            return all(member.object_info is not None or member.down_since is not None for member in members)

        scheduler.changed.wait_for(lambda: all_known() or any(member.is_up for member in members))
        scheduler.changed.wait_for(all_known, START_SECONDS)
        if not any(member.is_up for member in members):
            raise refusals.none_answers(members)


def look_after(scheduler: "Scheduler") -> None:
    """Start a look at every server for which it is time. Called under the lock."""
    now = scheduler.options.clock()
    for member in scheduler.members.values():
        is_due = member.breaker.is_due if member.breaker.state == OPEN else now >= member.check_at
        if is_due and not member.probing:
            member.probing = True
            threading.Thread(target=probe, args=(scheduler, member), name="imageine-probe", daemon=True).start()


def probe(scheduler: "Scheduler", member: Member) -> None:
    """Ask the server how it is and draw the consequences."""
    look, error = None, None
    try:
        look = _Look(member)
    except Exception as caught:  # whatever a server says that is not ComfyUI's way of speaking
        error = caught
    with scheduler.changed:
        now = scheduler.options.clock()
        member.probing, member.check_at = False, now + CHECK_SECONDS
        if error is None and not look.is_stuck:
            found_alive = _settle(scheduler, member, look)
        else:
            found_alive = []
            reason = getattr(error, "message", str(error)) if error else "Its worker is dead: restart ComfyUI there."
            member.down_since = now if member.down_since is None else member.down_since
            gone = error is None or isinstance(error, Unreachable) or member.object_info is None
            (member.breaker.trip if gone else member.breaker.failure)(reason)
        scheduler.changed.notify_all()
    for prompt_id in found_alive:
        with contextlib.suppress(ImageineError):
            member.client.attach(prompt_id).cancel(wait=0)


def ask_object_info(member: Member) -> dict | None:
    """What the server has now; None when it does not say."""
    with contextlib.suppress(ImageineError):
        return member.client.object_info(refresh=True)
    return None


class _Look:
    """What a server said. All of it is asked of a server that was away; one that is in use is asked for its load."""

    def __init__(self, member: Member):
        client = member.client
        self.is_new = member.object_info is None or member.stale or member.breaker.state == OPEN
        self.object_info = None
        self.phases: dict[str, str] = {}
        if self.is_new:
            client.check()
        self.queue = client.queue_length()
        self.is_stuck = bool(member.stuck) and client.state(member.stuck) == RUNNING
        if self.is_new and not self.is_stuck:
            self.object_info = client.object_info(refresh=True)
            self.phases = {prompt_id: client.state(prompt_id) for prompt_id in list(member.orphans)}


def _settle(scheduler: "Scheduler", member: Member, look: _Look) -> list[str]:
    """The server is well. Returns the jobs to be cancelled there, because they were sent elsewhere since."""
    member.down_since, member.stuck = None, ""
    member.others = max(0, look.queue - len(member.jobs))
    if look.is_new:
        member.stale, member.models = False, frozenset()
        member.learn(look.object_info)
    member.breaker.try_again()
    superfluous = []
    for prompt_id, phase in look.phases.items():
        if prompt_id not in member.orphans:  # sent there again in the meantime
            continue
        handle = member.orphans.pop(prompt_id)
        is_current = handle is not None and handle.id_on(member.url) == prompt_id
        if is_current and handle in scheduler.waiting and phase != UNKNOWN:
            handle.found = member
        elif phase in (PENDING, RUNNING):
            if is_current:
                handle.renew_id(member.url)
            superfluous.append(prompt_id)
    return superfluous
