"""Whether engine B is faster or slower than engine A: timed side by side in one process, in the order ABBA."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgeseg.bench.compare import (
    CONFIDENCE,
    CPU,
    MAX_DROP,
    TOLERANCE,
    WALL,
    Comparison,
    Figure,
    MiouDrop,
    answer_from_ratio,
)
from edgeseg.bench.diff import EnginePair, engine_diff, images_from_dataset
from edgeseg.check_images import BenchImages
from edgeseg.datasets.dataset import Dataset
from edgeseg.measure.estimate import median_of_ratios
from edgeseg.measure.interleaved import Turn, one_turn, rounds
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter

BLOCKS, MORE_BLOCKS, MOST_BLOCKS = 20, 10, 60  # of four turns, ABBA
SECONDS = 0.2  # of a turn


def compare_engines(
    a: Segmenter,
    b: Segmenter,
    images: BenchImages,
    dataset: Dataset | None = None,
    *,
    tolerance: float = TOLERANCE,
    max_drop: float = MAX_DROP,
    progress: Progress = silent,
) -> Comparison:
    """Time both on `images`, and evaluate both on `dataset`, if there is one."""
    pair = EnginePair(a, b, dataset) if dataset is not None else None  # before the timing: it may refuse the classes
    figures = compare_segmenters(a, b, list(images.frames), tolerance=tolerance, progress=progress)
    drop = None
    if pair is not None and dataset is not None:
        change = engine_diff(pair, images_from_dataset(dataset), total=len(dataset), progress=progress).change
        if change is not None:
            drop = MiouDrop(change.data, change.images, change.a, change.b, change.drop, max_drop)
    name = f"{a.spec.input.width}x{a.spec.input.height}, {images.source}"
    return Comparison(name, a.artifact.path.name, b.artifact.path.name, figures, drop)


def compare_segmenters(
    a: Segmenter,
    b: Segmenter,
    frames: Sequence[NDArray[np.uint8]],
    *,
    tolerance: float = TOLERANCE,
    progress: Progress = silent,
) -> tuple[Figure, ...]:
    """Compare both from a frame in memory to its mask in memory; each takes all of `frames` in turn."""
    works = [calls_of(segmenter, frames) for segmenter in (a, b)]
    turns = [partial(one_turn, work, SECONDS) for work in works]
    return compare_turns(turns[0], turns[1], tolerance=tolerance, progress=progress)


def calls_of(segmenter: Segmenter, frames: Sequence[NDArray[np.uint8]]) -> Callable[[], object]:
    """A function that segments the next frame with each call."""
    endless = itertools.cycle(frames)
    return lambda: segmenter.segment(next(endless))


def compare_turns(
    a: Callable[[], Turn],
    b: Callable[[], Turn],
    *,
    tolerance: float = TOLERANCE,
    scope: str = "frame",
    blocks: int | None = None,
    most: int | None = None,
    until: Collection[str] = (CPU, WALL),
    progress: Progress = silent,
) -> tuple[Figure, ...]:
    """Take turns in the order ABBA, and compare own CPU time and the median latency of the blocks of four turns.

    blocks: how many at least, 2 or more. Until no interval of the figures `until` is wider than the tolerance, further
    ones follow, up to `most`; what the intervals say has no influence on that.
    """
    blocks, most = blocks or BLOCKS, most or MOST_BLOCKS
    times: dict[str, dict[str, list[float]]] = {side: {CPU: [], WALL: []} for side in "AB"}
    figures: tuple[Figure, ...] = ()
    turns = rounds({"A": a, "B": b})
    for number in range(1, most + 1):
        block = next(turns), next(turns)
        for side, of in times.items():
            of[CPU].append(sum(each[side].cpu_ms for each in block) / 2)
            of[WALL].append(sum(statistics.median(each[side].latencies) for each in block) / 2)
        progress("compare", number, max(number, blocks))
        if number >= blocks and (number - blocks) % MORE_BLOCKS == 0:
            figures = tuple(_side_by_side(scope, name, times, tolerance) for name in (CPU, WALL))
            ratios = [each.ratio for each in figures if each.name in until]
            if all(ratio and ratio.high - ratio.low <= tolerance for ratio in ratios):
                break
    return figures


def _side_by_side(scope: str, name: str, times: Mapping[str, Mapping[str, list[float]]], tolerance: float) -> Figure:
    a, b = (times[side][name] for side in "AB")
    medians = statistics.median(a), statistics.median(b)
    if min(a) <= 0:
        return Figure(scope, name, *medians, None, "inconclusive", "the clock is too coarse for it")
    ratio = median_of_ratios(a, b, CONFIDENCE)
    return Figure(scope, name, *medians, ratio, answer_from_ratio(ratio, tolerance))
