"""Interleaved timing: all engines in turn, round by round, so that background load affects each of them alike."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeseg.autotune.estimate import Estimate, Floats, bootstrap
from edgeseg.measure.recorder import Summary, summary_from_samples
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter

ROUNDS = 9
QUICK_ROUNDS = 5  # where the times only decide what to try next
SECONDS = 0.3  # of one engine's turn
MIN_IMAGES = 3  # per turn
MAX_EXTENSION = 6  # times as many rounds, while it is uncertain which engine is faster
EQUAL_WIDTH = 0.04  # two engines are equally fast if an interval around 1 is at most this wide


@dataclass(frozen=True)
class TimingRun:
    """One engine's times. rounds: median latency of each round in ms. cpu_ms: CPU time per image."""

    rounds: tuple[float, ...]
    latency: Summary
    cpu_ms: float

    def ratio_to(self, other: TimingRun) -> Estimate:
        """The latency relative to `other` of the same benchmark: the median of the rounds' ratios."""
        ratios = np.array(self.rounds) / np.array(other.rounds)
        return bootstrap(lambda weights: weighted_medians(weights, ratios), len(ratios))


def benchmark(
    segmenters: Mapping[str, Segmenter],
    rgb: NDArray[np.uint8],
    *,
    rounds: int = ROUNDS,
    base: str | None = None,
    progress: Progress = silent,
) -> dict[str, TimingRun]:
    """Time each segmenter on `rgb`, an image of its input's size, from image to mask.

    base: the segmenter that the others are compared with. While it is uncertain which one is faster, further rounds
    follow, up to MAX_EXTENSION times as many.
    """
    samples: dict[str, list[list[float]]] = {name: [] for name in segmenters}
    cpu = dict.fromkeys(segmenters, 0.0)
    timings: dict[str, TimingRun] = {}
    for number in range(1, rounds * (1 if base is None else MAX_EXTENSION) + 1):
        for name, segmenter in segmenters.items():
            segmenter.segment(rgb)  # caches and threads are still those of the previous engine
            start = time.process_time()
            samples[name].append(one_turn(segmenter, rgb))
            cpu[name] += (time.process_time() - start) * 1e3
        progress("benchmark", number, max(number, rounds))
        if number % rounds == 0:
            timings = {name: timing_run_from_turns(turns, cpu[name]) for name, turns in samples.items()}
            if base is not None and not any(
                is_uncertain(timing.ratio_to(timings[base])) for timing in timings.values()
            ):
                break
    return timings


def is_uncertain(ratio: Estimate) -> bool:
    """Whether more rounds may show which engine is faster."""
    return ratio.low < 1 < ratio.high and ratio.high - ratio.low > EQUAL_WIDTH


def one_turn(segmenter: Segmenter, rgb: NDArray[np.uint8]) -> list[float]:
    """Latencies in ms, measured for SECONDS."""
    latencies: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(latencies) < MIN_IMAGES or time.perf_counter() < end:
        start = time.perf_counter()
        segmenter.segment(rgb)
        latencies.append((time.perf_counter() - start) * 1e3)
    return latencies


def timing_run_from_turns(turns: list[list[float]], cpu_ms: float) -> TimingRun:
    """The timing run of one engine from its turns."""
    samples = [sample for turn in turns for sample in turn]
    medians = tuple(summary_from_samples(turn).p50_ms for turn in turns)
    return TimingRun(medians, summary_from_samples(samples), cpu_ms / len(samples))


def weighted_medians(weights: Floats, values: Floats) -> Floats:
    """The weighted (lower) median of `values` (n,) for each row of `weights` (draws, n)."""
    order = np.argsort(values)
    cumulative = np.cumsum(weights[:, order], axis=1)
    middle = (cumulative >= cumulative[:, -1:] / 2).argmax(1)
    medians: Floats = values[order][middle]
    return medians
