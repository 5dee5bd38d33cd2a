"""What an error of one attempt says about the job and about the server."""

from dataclasses import dataclass

from ..client.outcome import ACCESS_HINT, DISK_HINT, MEMORY_HINT
from ..errors import ImageineError

_SERVER_STATUSES = (401, 403, 404, 408, 425, 429)


@dataclass(frozen=True)
class Verdict:
    """``move``: try the job again. The rest says with what consequences."""

    move: bool = False
    lost: bool = False
    """The server had the job and lost it: one of its jobs may have been the cause."""
    exclude: bool = False
    """This job does not go to this server again."""
    trip: bool = False
    """The server is left alone until it answers again."""
    fault: bool = False
    """It counts against the server; three in a row leave it alone."""
    stale: bool = False
    """What the server has may have changed."""
    may_remain: bool = False
    """The job may still be on the server."""
    zombie: bool = False
    """The server answers, but its worker is dead."""


_ITS_OWN = Verdict()
_BY_CODE = {
    "server_unreachable": Verdict(move=True, trip=True, may_remain=True),
    "server_not_comfyui": Verdict(move=True, trip=True),
    "server_lost": Verdict(move=True, lost=True, trip=True, may_remain=True),
    "job_lost": Verdict(move=True, lost=True, stale=True),
    "job_stalled": Verdict(move=True, lost=True, trip=True, may_remain=True, zombie=True),
    "job_rejected": Verdict(stale=True),
}


def judge(error: BaseException) -> Verdict:
    """The verdict on ``error``. What is neither the server's fault nor the network's is the job's own."""
    if not isinstance(error, ImageineError):
        return _ITS_OWN
    if error.code == "server_refused":
        status = error.details.get("status") or 0
        at_fault = status >= 500 or status in _SERVER_STATUSES
        return Verdict(move=True, exclude=True, fault=at_fault)
    if error.code == "job_failed" and error.hint in (DISK_HINT, ACCESS_HINT):
        # Left in use, a server that fails at once is never busy, and would be given every job there is.
        return Verdict(move=True, exclude=True, fault=True)
    if error.code == "job_failed" and error.hint == MEMORY_HINT:
        return Verdict(move=True, exclude=True)
    return _BY_CODE.get(error.code, _ITS_OWN)
