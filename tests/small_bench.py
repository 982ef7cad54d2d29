"""A clock that nobody waits for, and systems whose times are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifact import Artifact
from edgeseg.bench.system import Finish
from edgeseg.measure.recorder import Summary
from edgeseg.predictions.semantic import SemanticMask
from edgeseg.segmenter import PredictionFuture
from edgeseg.video.frame import Frame


class FakeClock:
    """Moves when a system works and when somebody waits. cores: CPU seconds of a second of work."""

    def __init__(self, cores: float = 1.0) -> None:
        self.time, self.cpu_time, self.cores = 100.0, 5.0, cores

    def now(self) -> float:
        return self.time

    def cpu(self) -> float:
        return self.cpu_time

    def wait_until(self, when: float) -> None:
        assert when > self.time, "nobody waits for the past"
        self.time = when

    def work(self, seconds: float) -> None:
        self.time += seconds
        self.cpu_time += seconds * self.cores


class FakeSystem:
    """Takes `seconds(index)` for each image; with several slots, images that were begun are worked on meanwhile."""

    def __init__(self, clock: FakeClock, seconds: Callable[[int], float], slots: int = 1) -> None:
        self.clock, self.seconds, self.slots = clock, seconds, slots
        self.begun: list[int] = []
        self.most_in_flight = self._in_flight = 0
        self._free_at = 0.0

    def begin(self, index: int) -> Finish:
        self.begun.append(index)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        ready = self._free_at = max(self._free_at, self.clock.now()) + self.seconds(index)

        def finish() -> None:
            self._in_flight -= 1
            self.clock.work(max(0.0, ready - self.clock.now()))

        return finish


class FakeSegmenter:
    """Has the description of `artifact`, and takes known seconds for each call, by its number."""

    def __init__(
        self, artifact: Artifact, clock: FakeClock, engine: Callable[[int], float], frame: Callable[[int], float]
    ) -> None:
        self.artifact, self.spec, self.slots = artifact, artifact.spec, 1
        self.clock, self.engine, self.frame = clock, engine, frame
        self.engine_calls = self.frame_calls = 0

    def run_engine(self, rgb: NDArray[np.uint8]) -> None:
        assert rgb.shape == (self.spec.input.height, self.spec.input.width, 3)
        self.clock.work(self.engine(self.engine_calls))
        self.engine_calls += 1

    def submit(self, image: Any) -> PredictionFuture:
        self.clock.work(self.frame(self.frame_calls))
        self.frame_calls += 1
        size = image.size if isinstance(image, Frame) else image.shape[:2]
        labels = SemanticMask(np.zeros(size, np.uint8), self.spec.labels)
        return PredictionFuture.of(labels, {"total": 9.0, "resize": 1.0, "infer": 6.0, "upsample": 2.0})

    def latency(self) -> dict[str, Summary]:
        return {}

    def clear_latency(self) -> None:
        pass
