"""Tables of the IoU of each class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.bench.report.section import Entry
from edgeseg.bench.report.table import formatted


@dataclass(frozen=True)
class ClassCell:
    """text: IoU in percent, or a dash. level: 0 to 100, for its shade."""

    text: str
    level: float


@dataclass(frozen=True)
class ClassTable:
    """The records of one data set."""

    data: str
    names: tuple[str, ...]
    rows: tuple[tuple[Entry, tuple[ClassCell, ...]], ...]


def class_tables(entries: Sequence[Entry]) -> list[ClassTable]:
    """A table for each data set and list of classes."""
    groups: dict[tuple[str, tuple[str, ...]], list[Entry]] = {}
    for entry in entries:
        accuracy = entry.record.accuracy
        if accuracy is not None and accuracy.by_class:
            data = f"{accuracy.data}, {accuracy.images} images"
            groups.setdefault((data, tuple(accuracy.by_class)), []).append(entry)
    return [
        ClassTable(data, names, tuple((entry, tuple(_cell(entry, name) for name in names)) for entry in group))
        for (data, names), group in groups.items()
    ]


def _cell(entry: Entry, name: str) -> ClassCell:
    accuracy = entry.record.accuracy
    iou = accuracy.by_class[name] if accuracy is not None else None
    known = iou is not None and math.isfinite(iou)
    return ClassCell(formatted(100 * iou if iou is not None else None, 1), round(100 * iou) if known and iou else 0)
