"""Charts of mIoU against latency."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgeseg.bench.record import Scope
from edgeseg.bench.report.axis import Axis, axis_around, axis_of_costs
from edgeseg.bench.report.pareto import Point, pareto_line
from edgeseg.bench.report.section import Entry
from edgeseg.bench.report.table import formatted, miou_percent

SHAPES = {"fp32": "circle", "bf16": "square", "fp16": "triangle", "int8": "diamond"}
COLOURS = 8
LEAST_POINTS = 2.0  # of mIoU: the least range of the axis


@dataclass(frozen=True)
class Marker:
    """A record in the chart. x, y: in percent. tail: x of the engine alone. rank: from 1 on the line, 0 off it."""

    entry: Entry
    x: float
    y: float
    tail: float
    shape: str
    colour: int
    rank: int
    text: str


@dataclass(frozen=True)
class Scatter:
    """The records of one scenario and one data set. line: corners of the Pareto line as "x,y", from below."""

    data: str
    x: Axis
    y: Axis
    markers: tuple[Marker, ...]
    line: str
    frames: tuple[str, ...]

    @property
    def ranking(self) -> list[Marker]:
        """The records on the line, the fastest first."""
        return sorted((marker for marker in self.markers if marker.rank), key=lambda marker: marker.rank)

    @property
    def nets(self) -> dict[str, int]:
        """Net -> colour."""
        return {marker.entry.record.model.name: marker.colour for marker in self.markers}

    @property
    def shapes(self) -> dict[str, str]:
        """Precision -> shape."""
        precisions = {marker.entry.record.model.precision: marker.shape for marker in self.markers}
        return {name: precisions[name] for name in sorted(precisions, key=lambda each: [*SHAPES, each].index(each))}


def colours_from_entries(entries: Sequence[Entry]) -> dict[str, int]:
    """Net -> colour; with more than COLOURS nets some share one."""
    names = sorted({entry.record.model.name for entry in entries})
    return {name: index % COLOURS for index, name in enumerate(names)}


def scatters_from_entries(entries: Sequence[Entry], colours: Mapping[str, int]) -> list[Scatter]:
    """A chart for each data set that mIoU was measured on. entries: of one scenario."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        accuracy, row = entry.record.accuracy, entry.record.row("frame")
        if accuracy is not None and row is not None and miou_percent(entry) is not None:
            groups.setdefault(f"{accuracy.data}, {accuracy.images} images", []).append(entry)
    return [_scatter(data, group, colours) for data, group in groups.items()]


def _scatter(data: str, entries: Sequence[Entry], colours: Mapping[str, int]) -> Scatter:
    points = [Point(_ms(entry, "frame"), miou_percent(entry) or 0.0) for entry in entries]
    engines = [_ms(entry, "engine") if entry.record.row("engine") else point.cost
               for entry, point in zip(entries, points)]  # fmt: skip
    x = axis_of_costs([*(point.cost for point in points), *engines])
    y = axis_around([point.value for point in points], LEAST_POINTS)
    line = pareto_line(points)
    markers = [
        Marker(
            entry,
            x.at(point.cost),
            100 - y.at(point.value),
            x.at(engine),
            SHAPES.get(entry.record.model.precision, "circle"),
            colours[entry.record.model.name],
            line.index(index) + 1 if index in line else 0,
            _text(entry, point),
        )
        for index, (entry, point, engine) in enumerate(zip(entries, points, engines))
    ]
    frames = sorted(
        {
            f"{conditions.frame_width}x{conditions.frame_height}"
            for entry in entries
            if (conditions := entry.record.conditions).frame_width
        }
    )
    return Scatter(data, x, y, tuple(markers), _stairs([markers[index] for index in line]), tuple(frames))


def _ms(entry: Entry, scope: Scope) -> float:
    row = entry.record.row(scope)
    return row.latency.p50_ms if row is not None else 0.0


def _text(entry: Entry, point: Point) -> str:
    row = entry.record.row("engine")
    engine = f"\nengine alone p50 {formatted(row.latency.p50_ms, 2)} ms" if row is not None else ""
    return f"#{entry.number} {entry.label}\nend to end p50 {point.cost:.2f} ms{engine}\nmIoU {point.value:.2f} %"


def _stairs(markers: Sequence[Marker]) -> str:
    """The corners of the line: what can be reached within a time, and no more."""
    corners = [(markers[0].x, 100.0)] if markers else []
    for marker in markers:
        corners += [(marker.x, corners[-1][1]), (marker.x, marker.y)]
    corners += [(100.0, corners[-1][1])] if corners else []
    return " ".join(f"{x:g},{y:g}" for x, y in corners)
