"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random
from collections.abc import Callable

LEAST_SECONDS = 0.5
MOST_SECONDS = 30.0


class Backoff:
    """Waits with full jitter: uniform between 0 and a limit that doubles from 0.5 s to 30 s.

    Many cameras behind one switch thereby come back at different moments. uniform: as `random.uniform`.
    """

    def __init__(
        self,
        least_seconds: float = LEAST_SECONDS,
        most_seconds: float = MOST_SECONDS,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._least, self._most, self._uniform = least_seconds, most_seconds, uniform
        self._attempts = 0

    @property
    def limit_seconds(self) -> float:
        """The longest wait that the next call can return."""
        return min(self._most, self._least * 2.0 ** min(self._attempts, 60))

    def next_seconds(self, *, slow: bool = False) -> float:
        """The next wait. slow: at the slow end, where trying again soon is pointless or locks an account."""
        limit = self.limit_seconds
        self._attempts += 1
        return self._uniform(self._most / 2, self._most) if slow else self._uniform(0.0, limit)

    def reset(self) -> None:
        """Start again at the short end, after a connection that lasted."""
        self._attempts = 0
