"""SVG timeline of an engine: its layers in execution order, one lane per stream, with widths by cost."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edgeseg.inspection.row import Row, is_timed

# The palette of Okabe and Ito, safe for colour-blind readers; the tooltip of each layer has the precision as text.
COLOURS = {"int8": "#009e73", "fp8": "#56b4e9", "fp16": "#0072b2", "bf16": "#cc79a7", "fp32": "#e69f00"}
OTHER = "#999999"
WIDTH, LANE, GAP = 1000.0, 34, 6
MIN_SHARE = 0.0005  # of the width, so that every layer is visible and has a tooltip


def costs(rows: Sequence[Row]) -> list[float]:
    """The cost of each layer: milliseconds if all are timed, else bytes read and written, including weights.

    Empty if neither is known.
    """
    if is_timed(rows):
        return [row.layer.milliseconds or 0.0 for row in rows]
    if not any(row.has_tensors for row in rows):
        return []
    return [float((row.weight_bytes or 0) + (row.activation_bytes or 0)) for row in rows]


def timeline(rows: Sequence[Row]) -> str:
    """All layers from left to right, one after another; in reality streams may overlap."""
    widths = shares(costs(rows) or [1.0] * len(rows))
    lanes = {stream: index for index, stream in enumerate(sorted({row.layer.stream for row in rows}))}
    height = len(lanes) * (LANE + GAP)
    boxes, left = [], 0.0
    for index, (row, share) in enumerate(zip(rows, widths)):
        boxes.append(box(row, index, left, lanes[row.layer.stream] * (LANE + GAP), share * WIDTH))
        left += share * WIDTH
    return (
        f'<svg class="timeline" role="img" aria-label="layers by stream" viewBox="0 0 {WIDTH:.0f} {height}" '
        f'preserveAspectRatio="none" style="height:{height}px">{"".join(boxes)}</svg>'
    )


def box(row: Row, index: int, left: float, top: float, width: float) -> str:
    """One layer of the timeline."""
    return (
        f'<rect data-row="{index}" x="{left:.2f}" y="{top}" width="{width:.2f}" height="{LANE}" '
        f'fill="{colour(row.precision)}"><title>{escape(title(row))}</title></rect>'
    )


def bar(row: Row, cost: float, largest: float) -> str:
    """A bar of the cost of a layer, relative to the largest."""
    width = 100 * cost / largest if largest else 0.0
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width:.2f}" height="10" fill="{colour(row.precision)}"/></svg>'
    )


def shares(values: Sequence[float]) -> list[float]:
    """`values` as shares that sum to 1, with very small ones raised to about MIN_SHARE."""
    total = sum(values) or 1.0
    raised = [max(value / total, MIN_SHARE) for value in values]
    return [value / sum(raised) for value in raised]


def colour(precision: str) -> str:
    """The colour of a precision."""
    return COLOURS.get(precision, OTHER)


def title(row: Row) -> str:
    """The tooltip of a layer."""
    parts = [row.label, row.layer.op, row.precision, f"stream {row.layer.stream}" if row.has_tensors else ""]
    if row.layer.milliseconds is not None:
        parts.append(f"{row.layer.milliseconds:.4f} ms")
    return " · ".join(part for part in parts if part)
