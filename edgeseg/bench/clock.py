"""The clock of a benchmark: wall time, own CPU time, and waiting; tests inject one that nobody waits for."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds."""

    def now(self) -> float:
        """Wall time."""

    def cpu(self) -> float:
        """CPU time of this process, all threads."""

    def wait_until(self, when: float) -> None:
        """Return when `now()` is at least `when`."""


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """Wall time."""
        return time.perf_counter()

    def cpu(self) -> float:
        """CPU time of this process, all threads."""
        return time.process_time()

    def wait_until(self, when: float) -> None:
        """Sleep until then."""
        while (left := when - time.perf_counter()) > 0:
            time.sleep(left)
