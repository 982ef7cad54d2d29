"""Raw latency samples by stage, and their summaries."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

MAX_SAMPLES = 20_000  # per stage: memory must not grow in a stream that runs for days


@dataclass(frozen=True)
class Summary:
    """Latency of one stage in milliseconds, over the `n` latest samples."""

    n: int
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    max_ms: float

    def to_dict(self) -> dict[str, float]:
        """Plain data."""
        return asdict(self)


class LatencyRecorder:
    """Records stages. `clock` gives seconds; `sync` is called before each reading, for asynchronous devices."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter, sync: Callable[[], None] | None = None) -> None:
        self._clock, self._sync = clock, sync
        self._samples: dict[str, deque[float]] = {}

    def now(self) -> float:
        """The time in seconds, after waiting for the device."""
        if self._sync is not None:
            self._sync()
        return self._clock()

    def add(self, name: str, milliseconds: float) -> None:
        """Add one sample."""
        self._samples.setdefault(name, deque(maxlen=MAX_SAMPLES)).append(milliseconds)

    def samples(self, name: str) -> list[float]:
        """The newest samples of a stage in milliseconds, oldest first."""
        return list(self._samples.get(name, ()))

    def summaries(self) -> dict[str, Summary]:
        """One summary per stage, in the order of their first samples."""
        return {name: summary_from_samples(samples) for name, samples in self._samples.items()}

    def clear(self) -> None:
        """Remove all samples, for example after a warm-up."""
        self._samples.clear()


def summary_from_samples(samples: Sequence[float]) -> Summary:
    """The summary of at least one sample."""
    ordered = sorted(samples)
    return Summary(
        n=len(ordered),
        mean_ms=math.fsum(ordered) / len(ordered),
        p50_ms=percentile(ordered, 50),
        p90_ms=percentile(ordered, 90),
        p99_ms=percentile(ordered, 99),
        max_ms=ordered[-1],
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The `percent` percentile of sorted samples, linear between neighbours (numpy's default)."""
    position = (len(ordered) - 1) * percent / 100
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
