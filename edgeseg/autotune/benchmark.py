"""Which engine is faster: all of them in turn, round by round, so that a busy moment hits each alike."""

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
SECONDS = 0.3  # of one engine's turn
LEAST = 3  # pictures a turn
PATIENCE = 6  # times as many rounds, where it is in doubt who is faster
ALIKE = 0.04  # the width of an interval around 1 that tells two engines to be as fast


@dataclass(frozen=True)
class TimingRun:
    """One engine's times. rounds: the median latency of each round in ms. latency: of all pictures. cpu_ms: own."""

    rounds: tuple[float, ...]
    latency: Summary
    cpu_ms: float

    def ratio_to(self, other: TimingRun) -> Estimate:
        """How many times as long this takes as `other`, raced with it: the median of the rounds' ratios."""
        ratios = np.array(self.rounds) / np.array(other.rounds)
        return bootstrap(lambda weights: medians(weights, ratios), len(ratios))


def benchmark(
    segmenters: Mapping[str, Segmenter],
    rgb: NDArray[np.uint8],
    *,
    rounds: int = ROUNDS,
    base: str | None = None,
    progress: Progress = silent,
) -> dict[str, TimingRun]:
    """Time each segmenter on `rgb`, a picture of its input's size, from picture to mask.

    base: the one that the others are held against. Where it is in doubt who is faster, the race is longer, up to
    PATIENCE times.
    """
    samples: dict[str, list[list[float]]] = {name: [] for name in segmenters}
    cpu = dict.fromkeys(segmenters, 0.0)
    laps: dict[str, TimingRun] = {}
    for number in range(1, rounds * (1 if base is None else PATIENCE) + 1):
        for name, segmenter in segmenters.items():
            segmenter.segment(rgb)  # caches and threads are the last one's
            began = time.process_time()
            samples[name].append(one_turn(segmenter, rgb))
            cpu[name] += (time.process_time() - began) * 1e3
        progress("race", number, max(number, rounds))
        if number % rounds == 0:
            laps = {name: timing_run_from_turns(turns, cpu[name]) for name, turns in samples.items()}
            if base is not None and not any(is_in_doubt(lap.ratio_to(laps[base])) for lap in laps.values()):
                break
    return laps


def is_in_doubt(ratio: Estimate) -> bool:
    """Whether more rounds may tell who is faster."""
    return ratio.low < 1 < ratio.high and ratio.high - ratio.low > ALIKE


def one_turn(segmenter: Segmenter, rgb: NDArray[np.uint8]) -> list[float]:
    """Latencies in ms, for SECONDS."""
    found: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(found) < LEAST or time.perf_counter() < end:
        began = time.perf_counter()
        segmenter.segment(rgb)
        found.append((time.perf_counter() - began) * 1e3)
    return found


def timing_run_from_turns(turns: list[list[float]], cpu_ms: float) -> TimingRun:
    """What the turns of one engine sum up to."""
    every = [sample for turn in turns for sample in turn]
    middles = tuple(summary_from_samples(turn).p50_ms for turn in turns)
    return TimingRun(middles, summary_from_samples(every), cpu_ms / len(every))


def medians(weights: Floats, values: Floats) -> Floats:
    """The weighted (lower) median of `values` (n,) for each row of `weights` (draws, n)."""
    order = np.argsort(values)
    reached = np.cumsum(weights[:, order], axis=1)
    place = (reached >= reached[:, -1:] / 2).argmax(1)
    found: Floats = values[order][place]
    return found
