"""The scenarios, as in MLPerf's load generator: how images arrive at a system, and what is noted of them.

Reddi et al., "MLPerf Inference Benchmark", ISCA 2020. single-stream: the next image when the last is finished, for
latency. offline: as many as the system takes, for throughput. camera: images arrive at a fixed rate, and of those that
wait only the newest is kept. multi-stream: several cameras share the system.
"""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from edgeseg.bench.clock import Clock
from edgeseg.bench.system import Finish, System
from edgeseg.measure.settling import batches_of
from edgeseg.progress import Progress, silent

STEPS = 7  # of a search for the highest rate: the last one is 1.6% of the bracket
SEARCH_IMAGES = 60  # arrivals of each try of a search


@dataclass(frozen=True)
class ScenarioRun:
    """What was noted. milliseconds: latency of each finished image, in their order; in the offline scenario the time
    from one finished image to the next. cpu_ms: own CPU time of each. seconds: of the whole run. extra: "dropped",
    "jitter_ms" and others of cameras.
    """

    milliseconds: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    seconds: float
    extra: Mapping[str, float] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """Finished images a second."""
        return len(self.milliseconds) / self.seconds if self.seconds > 0 else 0.0

    @property
    def cpu_blocks(self) -> tuple[float, ...]:
        """The mean CPU time of an image in each of ten parts."""
        return tuple(statistics.fmean(part) for part in batches_of(self.cpu_ms))


class _Notes:
    """Takes down one finished image after another."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self.began, self._cpu = clock, clock.now(), clock.cpu()
        self.milliseconds: list[float] = []
        self.cpu_ms: list[float] = []
        self.finished: list[float] = []

    def add(self, since: float) -> None:
        """An image that arrived at `since` is finished now."""
        now, cpu = self._clock.now(), self._clock.cpu()
        self.milliseconds.append((now - since) * 1e3)
        self.cpu_ms.append((cpu - self._cpu) * 1e3)
        self.finished.append(now)
        self._cpu = cpu

    def run(self, extra: Mapping[str, float] = MappingProxyType({})) -> ScenarioRun:
        """The notes of the whole run."""
        return ScenarioRun(tuple(self.milliseconds), tuple(self.cpu_ms), self._clock.now() - self.began, dict(extra))


def single_stream(system: System, clock: Clock, n: int, progress: Progress = silent) -> ScenarioRun:
    """`n` images, one after another."""
    notes = _Notes(clock)
    for index in range(n):
        began = clock.now()
        system.begin(index)()
        notes.add(began)
        progress("bench", index + 1, n)
    return notes.run()


def offline(system: System, clock: Clock, n: int, progress: Progress = silent) -> ScenarioRun:
    """`n` images with all slots of the system in use."""
    notes, in_flight = _Notes(clock), deque[Finish]()
    last, begun = notes.began, 0
    for index in range(n):
        while begun < n and len(in_flight) < system.slots:
            in_flight.append(system.begin(begun))
            begun += 1
        in_flight.popleft()()
        notes.add(last)
        last = notes.finished[-1]
        progress("bench", index + 1, n)
    return notes.run()


class _Feed:
    """`n` arrivals of a camera at a fixed rate, the first one at `began`."""

    def __init__(self, n: int, period: float, began: float) -> None:
        self._n, self._period, self._began = n, period, began
        self._taken = -1  # the newest arrival that was processed or dropped
        self.dropped = 0
        self.finished: list[float] = []

    @property
    def is_over(self) -> bool:
        """Whether no arrival is left."""
        return self._taken == self._n - 1

    def arrival(self, index: int) -> float:
        """When the image `index` arrives."""
        return self._began + index * self._period

    def next_arrival(self) -> float:
        """When the oldest image that is left arrives."""
        return self.arrival(self._taken + 1)

    def take(self, now: float) -> int:
        """The newest image that has arrived; those before it are dropped."""
        newest = int((now - self._began) / self._period + 1e-9)
        index = min(self._n - 1, max(self._taken + 1, newest))
        self.dropped += index - self._taken - 1
        self._taken = index
        return index


@dataclass(frozen=True)
class Cameras:
    """The scenario of `streams` cameras, each of which sends `rate` images a second; out of phase."""

    rate: float
    streams: int = 1

    def run(self, system: System, clock: Clock, n: int, progress: Progress = silent) -> ScenarioRun:
        """`n` arrivals of each camera. One image is processed at a time.

        Of a camera the newest image that has arrived is taken, and those before it count as dropped; cameras take
        turns. Latency is from arrival to the prediction. extra: "dropped"; "jitter_ms", the standard deviation of the
        interval between results of one camera; "least_fps" of a camera.
        """
        notes, period = _Notes(clock), 1.0 / self.rate
        feeds = deque(_Feed(n, period, notes.began + number * period / self.streams) for number in range(self.streams))
        while left := [feed for feed in feeds if not feed.is_over]:
            now = clock.now()
            feed = next((feed for feed in left if feed.next_arrival() <= now), None)
            if feed is None:
                clock.wait_until(min(feed.next_arrival() for feed in left))
                continue
            feeds.remove(feed)
            feeds.append(feed)  # the others are next
            index = feed.take(now)
            system.begin(index)()
            notes.add(feed.arrival(index))
            feed.finished.append(notes.finished[-1])
            progress("bench", len(notes.finished) + sum(each.dropped for each in feeds), n * self.streams)
        gaps = [(after - before) * 1e3 for feed in feeds for before, after in itertools.pairwise(feed.finished)]
        seconds = notes.finished[-1] - notes.began
        extra = {
            "dropped": float(sum(feed.dropped for feed in feeds)),
            "jitter_ms": statistics.pstdev(gaps) if gaps else 0.0,
            "least_fps": min(len(feed.finished) for feed in feeds) / seconds if seconds > 0 else 0.0,
        }
        return notes.run(extra)

    def with_highest_rate(
        self, run: ScenarioRun, system: System, clock: Clock, typical_ms: float, progress: Progress = silent
    ) -> ScenarioRun:
        """`run` of these cameras with their "rate", and the "highest_rate" that the system holds, in `extra`.

        typical_ms: the latency of single-stream.
        """
        most = highest_rate(system, clock, SEARCH_IMAGES, typical_ms, self.streams, progress)
        return replace(run, extra={**run.extra, "rate": self.rate, "highest_rate": most})


def highest(low: float, high: float, holds: Callable[[float], bool], steps: int = STEPS) -> float:
    """The highest value in [low, high] for which `holds` is true, by bisection; 0 where it is not for `low`.

    The value that is returned was tried, and held.
    """
    if not holds(low):
        return 0.0
    if holds(high):
        return high
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def highest_rate(
    system: System, clock: Clock, n: int, typical_ms: float, streams: int = 1, progress: Progress = silent
) -> float:
    """The highest rate of each camera at which none of `n` arrivals is dropped; 0 where one is even at a tenth.

    typical_ms: the latency of single-stream, from which the search begins. A rate counts as held if a second try holds
    it where the first dropped one image: a single late image is the machine's, not the system's.
    """
    sustainable = 1e3 / typical_ms / streams

    def holds(rate: float) -> bool:
        cameras = Cameras(rate, streams)
        run = cameras.run(system, clock, n)
        if run.extra["dropped"] == 1:
            run = cameras.run(system, clock, n)
        progress(f"search, {rate:.1f}/s", 1, 1)
        return run.extra["dropped"] == 0

    return highest(0.1 * sustainable, 1.2 * sustainable, holds)


SCENARIOS: Sequence[str] = ("single-stream", "offline", "camera", "multi-stream")
