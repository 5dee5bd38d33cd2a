"""One server as a pool sees it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..client import Client
from .breaker import CLOSED, HALF_OPEN, OPEN, Breaker
from .config import ServerSpec

if TYPE_CHECKING:
    from ..workflow.precheck import Problem
    from .handle import Handle


@dataclass(frozen=True)
class Options:
    """How a pool treats its servers; see ``Pool``."""

    depth: int
    timeout: float
    grace: float
    stalled_after: float | None
    patience: float
    pauses: tuple[float, float]
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True)
class ServerState:
    """A server of the pool at one moment.

    ``state`` is its breaker's: closed (in use), open (left alone, ``reason`` says why) or half-open (on trial).
    ``jobs`` are the pool's own on it, by prompt id; ``others`` counts those of other programs, as last seen, ``done``
    what it finished for this pool. ``models`` are those of the latest job there.
    """

    url: str
    state: str
    reason: str
    draining: bool
    weight: float
    jobs: tuple[str, ...]
    others: int
    done: int
    models: tuple[str, ...]


class Member:
    """A server with what the pool knows of it. The scheduler's lock guards everything but ``client``."""

    def __init__(self, spec: ServerSpec, options: Options):
        self.spec = spec
        self.url = spec.key
        limits = {"grace": options.grace, "stalled_after": options.stalled_after}
        self.client = Client(spec.url, options.timeout, dict(spec.headers), **limits)
        self.breaker = Breaker(options.pauses, options.clock)
        self.object_info: dict | None = None  # None until it has answered once
        self.generation = 0  # of ``object_info``
        self.jobs: list[Handle] = []  # in the order they were sent there
        self.models: frozenset[str] = frozenset()
        self.others = 0
        self.done = 0
        self.draining = False
        self.probing = False
        self.stale = False
        self.check_at = 0.0
        self.down_since: float | None = None
        self.stuck = ""  # the job that a dead worker holds
        self.orphans: dict[str, Handle | None] = {}  # jobs that may still be there, by their id there; None: ended

    @property
    def is_up(self) -> bool:
        return self.object_info is not None and self.breaker.state != OPEN

    def free(self, depth: int) -> int:
        """How many jobs it may be given now."""
        if not self.is_up or self.draining or self.stale:
            return 0
        return (1 if self.breaker.state == HALF_OPEN else depth) - len(self.jobs)

    def learn(self, object_info: dict | None) -> None:
        """Take in what the server says it has; None when it did not say."""
        if object_info is not None and object_info != self.object_info:
            self.object_info = object_info
            self.generation += 1

    def problems(self, handle: "Handle") -> "list[Problem]":
        """Why the job cannot run here; empty when it can, and when the server has not said yet what it has."""
        if handle.work is None or self.object_info is None:
            return []
        generation, found = handle.fits.get(self.url, (-1, []))
        if generation != self.generation:
            found = handle.work.problems(self.object_info)
            handle.fits[self.url] = (self.generation, found)
        return found

    def state(self) -> ServerState:
        ids = tuple(handle.id for handle in self.jobs)
        known = self.object_info is not None or self.breaker.state != CLOSED
        return ServerState(
            url=self.url,
            state=self.breaker.state if known else OPEN,
            reason=self.breaker.reason if known else "It has not answered yet.",
            draining=self.draining,
            weight=self.spec.weight,
            jobs=ids,
            others=self.others,
            done=self.done,
            models=tuple(sorted(self.models)),
        )
