"""How many processes pay: measured on the first units."""

from __future__ import annotations

import time
from collections.abc import Callable

WINDOW_SECONDS = 3.0
GAIN = 1.1  # of twice as many processes, at least
MEMORY_SHARE = 0.8  # of the free memory, for further processes


class ProcessCount:
    """Doubles the number of processes that work while that does GAIN times the frames per second.

    most: that there may be. working: how many shall do units now. starting: how many shall exist, so that the next ones
    are ready when the measurement of these ends. rates: frames per second by number.
    """

    def __init__(self, most: int, fixed: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._most = fixed or most
        self.working = fixed or 1
        self.is_settled = self.working >= self._most
        self.rates: dict[int, float] = {}
        self._began: tuple[float, int] | None = None

    @property
    def starting(self) -> int:
        """How many processes shall exist."""
        return self.working if self.is_settled else min(2 * self.working, self._most)

    def limit_memory(self, resident_mib: float, free_mib: float) -> None:
        """Start no more processes than fit: each needs `resident_mib`, and so much is free with those that exist."""
        fitting = self.starting + int(MEMORY_SHARE * free_mib / max(1.0, resident_mib))
        self.limit(fitting)

    def limit(self, most: int) -> None:
        """There may be no more than `most` from now on."""
        self._most = min(self._most, most)
        self.working = min(self.working, self._most)

    def update(self, frames: int, ready: int) -> None:
        """Take a reading. frames: done so far, by all. ready: the number of processes with an opened engine."""
        now = self._clock()
        if self.is_settled or ready < self.working:
            return
        if self._began is None:
            self._began = now, frames
            return
        seconds, done = now - self._began[0], frames - self._began[1]
        if seconds < WINDOW_SECONDS or not done or ready < self.starting:
            return
        self.rates[self.working] = done / seconds
        before = max((count for count in self.rates if count < self.working), default=0)
        if before and self.rates[self.working] < GAIN * self.rates[before]:
            self.working, self.is_settled = before, True
        elif self.working >= self._most:
            self.is_settled = True
        else:
            self.working, self._began = self.starting, None
