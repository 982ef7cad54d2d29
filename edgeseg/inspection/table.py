"""Text tables of the rows of an engine and of the difference of two. A column without known values is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from edgeseg.inspection.difference import Difference
from edgeseg.inspection.row import Row, is_timed, known_sum

UNKNOWN = "unknown"
Table = tuple[list[str], list[list[str]]]  # columns, rows

COLUMNS: dict[str, Callable[[Row], str]] = {
    "layer": lambda row: row.label,
    "kind": lambda row: row.kind,
    "op": lambda row: row.layer.op,
    "requested": lambda row: row.requested,
    "precision": lambda row: row.precision,
    "module": lambda row: ", ".join(row.modules),
    "weights KiB": lambda row: kibibytes(row.weight_bytes),
    "moved KiB": lambda row: kibibytes(row.activation_bytes),
    "stream": lambda row: str(row.layer.stream or ""),
    "ms": lambda row: UNKNOWN if row.layer.milliseconds is None else f"{row.layer.milliseconds:.4f}",
    "tactic": lambda row: row.layer.tactic,
}


def table_from_rows(rows: Sequence[Row], *, without: Sequence[str] = ()) -> Table:
    """One line per row. without: columns to leave out."""
    cells = {name: [text(row) for row in rows] for name, text in COLUMNS.items() if name not in without}
    known = {name: column for name, column in cells.items() if set(column) - {"", UNKNOWN}}
    return list(known), [list(line) for line in zip(*known.values())]


def table_from_difference(difference: Difference) -> Table:
    """One line per change, then the layers without a counterpart."""
    lines = [[change.layer, change.what, change.before, change.after] for change in difference.changes]
    lines += [[label, "layer", "present", "absent"] for label in difference.only_before]
    lines += [[label, "layer", "absent", "present"] for label in difference.only_after]
    return ["layer", "what", "before", "after"], lines


def totals(rows: Sequence[Row]) -> dict[str, Any]:
    """Sums over an engine; None if unknown. milliseconds: only if all layers are timed."""
    return {
        "layers": len(rows),
        "kinds": dict(Counter(row.kind for row in rows).most_common()),
        "computing": dict(Counter(row.precision for row in rows if row.kind == "compute").most_common()),
        "weight_bytes": known_sum(row.weight_bytes for row in rows),
        "activation_bytes": known_sum(row.activation_bytes for row in rows),
        "milliseconds": known_sum(row.layer.milliseconds for row in rows) if is_timed(rows) else None,
    }


def kibibytes(size: int | None) -> str:
    """A size as text."""
    return UNKNOWN if size is None else f"{size / 1024:.1f}"
