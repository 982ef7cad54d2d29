"""Interleaved timing: all engines in turn, round by round, so that background load affects each of them alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgeseg.measure.estimate import Estimate, bootstrap, weighted_medians
from edgeseg.measure.interleaved import Turn, one_turn
from edgeseg.measure.interleaved import rounds as interleaved_rounds
from edgeseg.measure.recorder import Summary, summary_from_samples
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter

ROUNDS = 9
QUICK_ROUNDS = 5  # where the times only decide what to try next
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
    turns: dict[str, list[Turn]] = {name: [] for name in segmenters}
    timings: dict[str, TimingRun] = {}
    works = {name: partial(one_turn, partial(segmenter.segment, rgb)) for name, segmenter in segmenters.items()}
    most = rounds * (1 if base is None else MAX_EXTENSION)
    for number, results in zip(range(1, most + 1), interleaved_rounds(works)):
        for name, turn in results.items():
            turns[name].append(turn)
        progress("benchmark", number, max(number, rounds))
        if number % rounds == 0:
            timings = {name: timing_run_from_turns(each) for name, each in turns.items()}
            if base is not None and not any(
                is_uncertain(timing.ratio_to(timings[base])) for timing in timings.values()
            ):
                break
    return timings


def is_uncertain(ratio: Estimate) -> bool:
    """Whether more rounds may show which engine is faster."""
    return ratio.low < 1 < ratio.high and ratio.high - ratio.low > EQUAL_WIDTH


def timing_run_from_turns(turns: Sequence[Turn]) -> TimingRun:
    """The timing run of one engine from its turns."""
    samples = [sample for turn in turns for sample in turn.latencies]
    medians = tuple(summary_from_samples(turn.latencies).p50_ms for turn in turns)
    cpu_ms = sum(turn.cpu_ms * len(turn.latencies) for turn in turns) / len(samples)
    return TimingRun(medians, summary_from_samples(samples), cpu_ms)
