"""Charts of raw samples: their distribution, and their course in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from edgeseg.bench.record import Row
from edgeseg.bench.report.axis import Axis, axis_around, axis_from_zero, axis_of_costs
from edgeseg.bench.report.section import Entry
from edgeseg.bench.report.table import SCOPES
from edgeseg.measure.recorder import percentile

BINS = (8, 40)  # the fewest and the most bars of a histogram
BATCHES = 10
FAR = 1.5  # a sample is drawn at the upper end where it is larger than p99 and than p50 times this
BUCKETS = 240  # of a long series; each is drawn by its smallest and its largest sample


@dataclass(frozen=True)
class Box:
    """A bar in percent, from the lower left corner. value: what its height stands for."""

    x: float
    width: float
    height: float
    value: float
    text: str


@dataclass(frozen=True)
class SampleChart:
    """The samples of one scope. axis: of milliseconds. far: number of samples beyond the axis.

    series: corners of the line as "x,y", from above. batches: (x, width, y) of the median of each tenth.
    """

    scope: str
    name: str
    count: int
    axis: Axis
    histogram: tuple[Box, ...]
    far: int
    series: str
    batches: tuple[tuple[float, float, float], ...]
    far_marks: tuple[tuple[float, str], ...]
    cpu: tuple[Box, ...]


@dataclass(frozen=True)
class Strip:
    """The latency of one scope on the axis of all records, in percent."""

    scope: str
    name: str
    p50: float
    p90: float
    p99: float
    text: str


@dataclass(frozen=True)
class SampleRow:
    """A record with its strips and its charts."""

    entry: Entry
    strips: tuple[Strip, ...]
    charts: tuple[SampleChart, ...]


@dataclass(frozen=True)
class SampleList:
    """All records on one axis."""

    axis: Axis
    rows: tuple[SampleRow, ...]

    @property
    def scopes(self) -> dict[str, str]:
        """The scopes that occur, with their names."""
        return {strip.scope: strip.name for row in self.rows for strip in row.strips}


def sample_list(entries: Sequence[Entry]) -> SampleList | None:
    """The latencies of the records; None without one."""
    rows = [row for entry in entries for row in entry.record.rows]
    if not rows:
        return None
    axis = axis_of_costs([each for row in rows for each in (row.latency.p50_ms, row.latency.p99_ms)])
    return SampleList(axis, tuple(_row(entry, axis) for entry in entries))


def _row(entry: Entry, axis: Axis) -> SampleRow:
    rows = sorted(entry.record.rows, key=lambda row: list(SCOPES).index(row.scope))
    charts = tuple(sample_chart(row) for row in rows if len(row.samples) > 1)
    return SampleRow(entry, tuple(_strip(row, axis) for row in rows), charts)


def _strip(row: Row, axis: Axis) -> Strip:
    latency, name = row.latency, SCOPES[row.scope].removesuffix(" ms")
    text = (
        f"{name}, {latency.n} samples\np50 {latency.p50_ms:.2f}, p90 {latency.p90_ms:.2f}, "
        f"p99 {latency.p99_ms:.2f}, max {latency.max_ms:.2f} ms"
    )
    return Strip(row.scope, name, axis.at(latency.p50_ms), axis.at(latency.p90_ms), axis.at(latency.p99_ms), text)


def sample_chart(row: Row) -> SampleChart:
    """The charts of a row with at least two samples."""
    samples = row.samples
    ordered = sorted(samples)
    limit = max(percentile(ordered, 99), FAR * percentile(ordered, 50))
    near = [sample for sample in ordered if sample <= limit]
    axis = axis_around(near, least=0.02 * near[-1] or 1.0)
    axis = Axis(max(0.0, axis.low), axis.high)
    far_marks = [(_x(index, samples), f"{each:.2f} ms") for index, each in enumerate(samples) if each > limit]
    return SampleChart(
        row.scope,
        SCOPES[row.scope].removesuffix(" ms"),
        len(samples),
        axis,
        tuple(_histogram(near, axis)),
        len(far_marks),
        _series(samples, axis),
        tuple(_batches(samples, axis)),
        tuple(far_marks[:BINS[1]]),
        tuple(_cpu(row.cpu_blocks)),
    )  # fmt: skip


def _histogram(ordered: Sequence[float], axis: Axis) -> list[Box]:
    """Bars by the rule of Freedman and Diaconis, within BINS. ordered: within the axis."""
    low, high = ordered[0], ordered[-1]
    spread = percentile(ordered, 75) - percentile(ordered, 25)
    width = 2 * spread / len(ordered) ** (1 / 3)
    count = math.ceil((high - low) / width) if width > 0 else BINS[0]
    count = min(max(count, BINS[0]), BINS[1]) if high > low else 1
    step = (high - low) / count or (axis.high - axis.low) / 20
    counts = [0] * count
    for sample in ordered:
        counts[min(int((sample - low) / step), count - 1)] += 1
    return [
        Box(
            axis.at(low + index * step),
            round(axis.at(low + (index + 1) * step) - axis.at(low + index * step), 3),
            round(100 * each / max(counts), 2),
            each,
            f"{each} samples\n{low + index * step:.2f} to {low + (index + 1) * step:.2f} ms",
        )
        for index, each in enumerate(counts)
    ]


def _series(samples: Sequence[float], axis: Axis) -> str:
    indices = range(len(samples))
    if len(samples) > 2 * BUCKETS:
        edges = [len(samples) * bucket // BUCKETS for bucket in range(BUCKETS + 1)]
        buckets = [range(start, end) for start, end in pairwise(edges)]
        ends = [{min(each, key=samples.__getitem__), max(each, key=samples.__getitem__)} for each in buckets]
        return _corners([index for each in ends for index in sorted(each)], samples, axis)
    return _corners(indices, samples, axis)


def _corners(indices: Sequence[int], samples: Sequence[float], axis: Axis) -> str:
    return " ".join(f"{_x(index, samples):g},{100 - axis.at(samples[index]):.4g}" for index in indices)


def _x(index: int, samples: Sequence[float]) -> float:
    return round(100 * index / (len(samples) - 1), 2)


def _batches(samples: Sequence[float], axis: Axis) -> list[tuple[float, float, float]]:
    if len(samples) < BATCHES:
        return []
    edges = [len(samples) * batch // BATCHES for batch in range(BATCHES + 1)]
    width = 100 / BATCHES
    return [
        (round(batch * width, 2), width, round(100 - axis.at(median(samples[start:end])), 2))
        for batch, (start, end) in enumerate(pairwise(edges))
    ]


def _cpu(blocks: Sequence[float]) -> list[Box]:
    axis, width = axis_from_zero(blocks), 100 / max(1, len(blocks))
    return [
        Box(round(index * width, 2), round(width, 2), axis.at(each), each, f"own CPU {each:.2f} ms an image")
        for index, each in enumerate(blocks)
    ]
