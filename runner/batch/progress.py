"""How far a batch is."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from ..client.events import Event
from .execution import JobEnded, JobStarted


@dataclass(frozen=True)
class Planned(Event):
    """The batch has ``jobs`` jobs, ``skipped`` of which were done before."""

    jobs: int
    skipped: int


class Progress:
    """Counts a batch's events. ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.jobs = self.skipped = self.done = self.failed = 0
        self._clock = clock
        self._started: float | None = None

    def update(self, event: Event) -> None:
        if isinstance(event, Planned):
            self.jobs, self.skipped = event.jobs, event.skipped
        elif isinstance(event, JobStarted) and self._started is None:
            self._started = self._clock()
        elif isinstance(event, JobEnded) and not event.retry:
            self.done += event.error is None
            self.failed += event.error is not None

    @property
    def ended(self) -> int:
        """Jobs that need no more time."""
        return self.skipped + self.done + self.failed

    @property
    def seconds_left(self) -> float | None:
        """By the mean time of the jobs of this run; None before the first has ended."""
        now = self.done + self.failed
        return (self._clock() - self._started) / now * (self.jobs - self.ended) if now else None
