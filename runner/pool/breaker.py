"""When to leave a server alone, and when to try it again."""

import time
from collections.abc import Callable

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half-open"

THRESHOLD = 3  # failures in a row that open it
PAUSES = (1.0, 60.0)  # first and longest, in seconds


class Breaker:
    """A circuit breaker: closed (in use), open (left alone for a pause), half-open (one job may try it).

    The pause doubles each time that it opens again before a success, from ``pauses[0]`` to ``pauses[1]`` seconds by
    ``clock``. Not thread-safe: its owner has a lock.
    """

    def __init__(self, pauses: tuple[float, float] = PAUSES, clock: Callable[[], float] = time.monotonic):
        self.state = CLOSED
        self.reason = ""
        self._pauses = pauses
        self._clock = clock
        self._failures = 0
        self._pause = pauses[0]
        self._retry_at = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is open and its pause over."""
        return self.state == OPEN and self._clock() >= self._retry_at

    def success(self) -> None:
        """The server did what it should: close."""
        self.state, self.reason, self._failures, self._pause = CLOSED, "", 0, self._pauses[0]

    def failure(self, reason: str) -> None:
        """The server failed: open at once when half-open, else after ``THRESHOLD`` failures in a row."""
        self._failures += 1
        if self.state != CLOSED or self._failures >= THRESHOLD:
            self.trip(reason)

    def trip(self, reason: str) -> None:
        """Open now. While it is open already only the reason changes: one death has many witnesses."""
        self.reason = reason
        if self.state == OPEN and not self.is_due:
            return
        self.state = OPEN
        self._retry_at = self._clock() + self._pause
        self._pause = min(self._pause * 2, self._pauses[1])

    def try_again(self) -> None:
        """The server answers again: let one job through."""
        if self.state == OPEN:
            self.state = HALF_OPEN
