"""The columns of the tables, in HTML and in markdown alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeseg.bench.record import Row, Scope
from edgeseg.bench.report.section import UNKNOWN, Entry, words

SCOPES: dict[Scope, str] = {"engine": "engine ms", "frame": "end-to-end ms", "file": "file to file ms"}
FOLDED = ("size", "engine", "precision")
Value = Callable[[Entry], float | None]


@dataclass(frozen=True)
class Column:
    """A column. group: stands above the headings of neighbours. text, value: of a cell; value is None for text."""

    heading: str
    text: Callable[[Entry], str]
    value: Value | None = None
    group: str = ""
    unit: str = ""

    @property
    def folds(self) -> bool:
        """Whether a narrow page shows it below the model."""
        return self.heading in FOLDED

    @property
    def title(self) -> str:
        """The heading of a table that has one line of headings."""
        return " ".join(filter(None, [self.group.removesuffix(" ms"), self.heading, self.unit]))


def columns_of(entries: Sequence[Entry]) -> list[Column]:
    """The columns of a table of these records; those that no record knows, or that never differ, are left out."""
    conditions = {
        "device": lambda entry: entry.record.conditions.device,
        "threads": lambda entry: str(entry.record.conditions.threads or "all"),
        "streams": lambda entry: str(entry.record.conditions.streams),
        "frames/s sent": lambda entry: f"{entry.record.conditions.rate:g}",
        "frame": _frame_size,
    }
    differing = [Column(name, text) for name, text in conditions.items() if len({*map(text, entries)}) > 1]
    scopes = [scope for scope in SCOPES if scope != "file" or any(entry.record.row("file") for entry in entries)]
    extras = dict.fromkeys(key for entry in entries for row in _rows(entry) for key in row.extra)
    figures = [
        number("fps", 1, lambda entry: _of(end_to_end(entry), lambda row: row.fps)),
        number("own CPU", 2, lambda entry: _of(end_to_end(entry), lambda row: row.cpu_ms), unit="ms"),
        number("mIoU", 2, miou_percent, unit="%"),
        number("RSS", 0, lambda entry: entry.record.resources.rss_mib, unit="MiB"),
        number("device memory", 0, lambda entry: entry.record.resources.device_mib, unit="MiB"),
        number("J/frame", 3, lambda entry: entry.record.resources.joules_per_frame),
        number("power", 1, lambda entry: entry.record.resources.watts, unit="W"),
        *(_extra_column(key, entries) for key in extras),
        number("foreign load", 2, lambda entry: entry.record.load.foreign_cores, unit="cores"),
    ]
    always = {"fps", "own CPU", "mIoU", "RSS"}
    return [
        Column("model", lambda entry: entry.record.model.name),
        Column("size", lambda entry: entry.size),
        Column("engine", lambda entry: entry.record.model.engine),
        Column("precision", lambda entry: entry.record.model.precision),
        *differing,
        *(percentile(scope, name) for scope in scopes for name in ("p50", "p90", "p99")),
        *(each for each in figures if each.heading in always or any(known(each.value, entry) for entry in entries)),
        Column("settled", settled),
    ]


def number(heading: str, digits: int, value: Value, group: str = "", unit: str = "") -> Column:
    """A column of numbers."""
    return Column(heading, lambda entry: formatted(value(entry), digits), value, group, unit)


def percentile(scope: Scope, name: str) -> Column:
    """A percentile of the latency of a scope."""

    def value(entry: Entry) -> float | None:
        return _of(entry.record.row(scope), lambda row: float(getattr(row.latency, f"{name}_ms")))

    return number(name, 2, value, group=SCOPES[scope], unit="ms")


def end_to_end(entry: Entry) -> Row | None:
    """The row from frame to prediction; of a record without one, that of files, or of the engine."""
    record = entry.record
    return record.row("frame") or record.row("file") or record.row("engine")


def miou_percent(entry: Entry) -> float | None:
    """The mIoU in percent, where it was measured."""
    accuracy = entry.record.accuracy
    return None if accuracy is None or not math.isfinite(accuracy.miou) else 100 * accuracy.miou


def settled(entry: Entry) -> str:
    """ "yes", or the scopes that did not settle."""
    names = [SCOPES[row.scope].removesuffix(" ms") for row in entry.record.rows if not row.settled]
    return f"not {', '.join(names)}" if names else "yes"


def formatted(value: float | None, digits: int, sign: bool = False) -> str:
    """A number with that many digits after the point, never "-0.00"; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    rounded = round(value, digits) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:+.{digits}f}" if sign and rounded else f"{rounded:.{digits}f}"


def known(value: Value | None, entry: Entry) -> bool:
    """Whether the record has this figure."""
    figure = value(entry) if value is not None else None
    return figure is not None and math.isfinite(figure)


def _extra_column(key: str, entries: Sequence[Entry]) -> Column:
    """A figure of the scenario; counts have no digits after the point."""

    def value(entry: Entry) -> float | None:
        return next((float(row.extra[key]) for row in _rows(entry) if key in row.extra), None)

    is_count = all(each is None or each == round(each, 0) for each in map(value, entries))
    name, ms, _ = key.partition("_ms")
    return number(words(name), 0 if is_count else 2, value, unit="ms" if ms else "")


def _rows(entry: Entry) -> list[Row]:
    """The rows, that from frame to prediction first."""
    return sorted(entry.record.rows, key=lambda row: row.scope != "frame")


def _of(row: Row | None, figure: Callable[[Row], float]) -> float | None:
    return None if row is None else figure(row)


def _frame_size(entry: Entry) -> str:
    conditions = entry.record.conditions
    size = f"{conditions.frame_width}x{conditions.frame_height}"
    if not conditions.frame_width:
        return "several"
    return size if size != entry.size else "as the input"
