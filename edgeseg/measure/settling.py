"""When a measurement has settled: after the warm-up, and at its end."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

BATCHES = 10
TOLERANCE = 0.05  # of a median
NEAR = 8  # of the ten batches must be that near to the median of all
WINDOW = 5  # images of a window of the warm-up


def batches_of(samples: Sequence[float], count: int = BATCHES) -> list[Sequence[float]]:
    """`samples` in `count` parts of equal length (by one at most), in their order; fewer where there are fewer."""
    bounds = [len(samples) * part // count for part in range(count + 1)]
    return [samples[begin:end] for begin, end in itertools.pairwise(bounds) if end > begin]


def is_settled(samples: Sequence[float]) -> bool:
    """Whether ten batches agree: the medians of the first and the last five differ by at most 5%, and eight of ten
    batches have a median within 5% of that of all. False for fewer than ten samples.
    """
    if len(samples) < BATCHES:
        return False
    medians = [statistics.median(batch) for batch in batches_of(samples)]
    whole = statistics.median(samples)
    early, late = statistics.median(samples[: len(samples) // 2]), statistics.median(samples[len(samples) // 2 :])
    near = sum(abs(median - whole) <= TOLERANCE * whole for median in medians)
    return bool(abs(late - early) <= TOLERANCE * whole and near >= NEAR)


class WarmUp:
    """Is fed with latencies until they stop falling: two neighbouring windows whose medians differ by at most 5%.

    most: samples after which it ends all the same.
    """

    def __init__(self, most: int, window: int = WINDOW) -> None:
        self._most, self._window = most, window
        self.samples: list[float] = []

    @property
    def is_over(self) -> bool:
        """Whether the next sample may count."""
        if len(self.samples) >= self._most:
            return True
        if len(self.samples) < 2 * self._window or len(self.samples) % self._window:
            return False
        before, last = self.samples[-2 * self._window : -self._window], self.samples[-self._window :]
        early, late = statistics.median(before), statistics.median(last)
        return abs(early - late) <= TOLERANCE * late
