"""Bars of where the time of a frame goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.bench.record import Stages
from edgeseg.bench.report.axis import Axis, axis_from_zero
from edgeseg.bench.report.section import Entry

STAGES = ("decode", "resize", "upload", "engine", "download", "device", "upsample", "render", "encode")
COLOURS = 10


@dataclass(frozen=True)
class Segment:
    """A stage of a bar. x, width: in percent. share: of the sum, in percent."""

    stage: str
    colour: int
    x: float
    width: float
    text: str


@dataclass(frozen=True)
class StageBar:
    """The stages of a record, one behind another.

    period_ms: from one frame to the next, in the overlapped run where there was one. period: its position.
    """

    entry: Entry
    segments: tuple[Segment, ...]
    sum_ms: float
    period_ms: float
    period: float
    overlapped: bool


@dataclass(frozen=True)
class StageChart:
    """All bars on one axis."""

    axis: Axis
    bars: tuple[StageBar, ...]

    @property
    def stages(self) -> dict[str, int]:
        """Stage -> colour, of those that occur."""
        return {segment.stage: segment.colour for bar in self.bars for segment in bar.segments}


def stage_chart(entries: Sequence[Entry]) -> StageChart | None:
    """The chart of the records that have stages; None without one."""
    staged = [(entry, entry.record.stages) for entry in entries if entry.record.stages]
    if not staged:
        return None
    names = dict.fromkeys(name for _, stages in staged if stages for name in stages.latency)
    colours = {name: index for index, name in enumerate([*STAGES, *(name for name in names if name not in STAGES)])}
    totals = [sum(each.mean_ms for each in stages.latency.values()) for _, stages in staged if stages]
    axis = axis_from_zero([*totals, *(_paced(entry).period_ms for entry, _ in staged)])
    return StageChart(axis, tuple(_bar(entry, axis, colours) for entry, _ in staged))


def _bar(entry: Entry, axis: Axis, colours: dict[str, int]) -> StageBar:
    stages, paced = entry.record.stages, _paced(entry)
    assert stages is not None
    total = sum(each.mean_ms for each in stages.latency.values()) or 1.0
    segments, start = [], 0.0
    for name, summary in stages.latency.items():
        text = (
            f"{name}: mean {summary.mean_ms:.2f} ms ({100 * summary.mean_ms / total:.0f} %)\n"
            f"p50 {summary.p50_ms:.2f}, p90 {summary.p90_ms:.2f}, p99 {summary.p99_ms:.2f} ms"
        )
        x, end = axis.at(start), axis.at(start + summary.mean_ms)
        segments.append(Segment(name, colours[name] % COLOURS, x, round(end - x, 3), text))
        start += summary.mean_ms
    return StageBar(entry, tuple(segments), stages.sum_ms, paced.period_ms, axis.at(paced.period_ms), paced.overlapped)


def _paced(entry: Entry) -> Stages:
    """The run that the period is of."""
    stages = entry.record.overlapped or entry.record.stages
    assert stages is not None
    return stages
