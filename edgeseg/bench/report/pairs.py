"""INT8 beside the float engines of the same net."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgeseg.bench.record import Row
from edgeseg.bench.report.section import Entry
from edgeseg.bench.report.table import end_to_end

INT8 = "int8"


@dataclass(frozen=True)
class Pair:
    """An INT8 record and a float one, the reference, that differ in nothing else.

    Ratios: of INT8 to float, below 1 where INT8 wins. drop: points of mIoU that INT8 loses. worst_class,
    worst_drop: the class that loses most IoU, in points.
    """

    int8: Entry
    reference: Entry
    engine_ratio: float | None
    frame_ratio: float | None
    cpu_ratio: float | None
    drop: float | None
    worst_class: str
    worst_drop: float | None


def pairs_from_entries(entries: Sequence[Entry]) -> list[Pair]:
    """Every INT8 record with each float record of the same net, size, engine and conditions."""
    return [
        _pair(int8, other)
        for int8 in entries
        for other in entries
        if INT8 == int8.record.model.precision != other.record.model.precision and _net(int8) == _net(other)
    ]


def _net(entry: Entry) -> object:
    """What a pair has in common."""
    model = replace(entry.record.model, precision="", file="", sha256="")
    if model.weights:
        model = replace(model, name="")
    return (model, entry.record.conditions)


def _pair(int8: Entry, other: Entry) -> Pair:
    def ratio(row: Callable[[Entry], Row | None], figure: Callable[[Row], float]) -> float | None:
        ours, theirs = row(int8), row(other)
        if ours is None or theirs is None or figure(theirs) <= 0:
            return None
        return figure(ours) / figure(theirs)

    drop, worst_class, worst_drop = _drops(int8, other)
    return Pair(
        int8,
        other,
        ratio(lambda entry: entry.record.row("engine"), lambda row: row.latency.p50_ms),
        ratio(lambda entry: entry.record.row("frame"), lambda row: row.latency.p50_ms),
        ratio(end_to_end, lambda row: row.cpu_ms),
        drop,
        worst_class,
        worst_drop,
    )


def _drops(int8: Entry, other: Entry) -> tuple[float | None, str, float | None]:
    """The drop of mIoU, and the class with the largest drop of IoU; nothing where they saw other data."""
    ours, theirs = int8.record.accuracy, other.record.accuracy
    if ours is None or theirs is None or (ours.data, ours.images) != (theirs.data, theirs.images):
        return None, "", None
    drops = {
        name: 100 * (before - after)
        for name, before in theirs.by_class.items()
        if before is not None and (after := ours.by_class.get(name)) is not None and math.isfinite(before - after)
    }
    worst = max(drops, key=lambda name: drops[name], default="")
    return 100 * (theirs.miou - ours.miou), worst, drops.get(worst)
