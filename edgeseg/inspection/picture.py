"""SVG of an engine: its layers in the order of the plan, a lane a stream, as wide as they are dear."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edgeseg.inspection.row import Row, is_timed

# Okabe and Ito's palette, which colour-blind readers tell apart; the precision is also written into each layer's title.
COLOURS = {"int8": "#009e73", "fp8": "#56b4e9", "fp16": "#0072b2", "bf16": "#cc79a7", "fp32": "#e69f00"}
OTHER = "#999999"
WIDTH, LANE, GAP = 1000.0, 34, 6
LEAST = 0.0005  # of the width, so that a layer that moves nothing can be seen and pointed at


def costs(rows: Sequence[Row]) -> list[float]:
    """What each layer costs: milliseconds where all were timed, else bytes read and written, weights among them.

    Nothing where neither is known.
    """
    if is_timed(rows):
        return [row.layer.milliseconds or 0.0 for row in rows]
    if not any(row.has_tensors for row in rows):
        return []
    return [float((row.weight_bytes or 0) + (row.activation_bytes or 0)) for row in rows]


def timeline(rows: Sequence[Row]) -> str:
    """All layers from left to right. Streams may overlap when they run: the picture has them one after another."""
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


def bar(row: Row, cost: float, dearest: float) -> str:
    """A layer's cost beside the dearest one's."""
    width = 100 * cost / dearest if dearest else 0.0
    return (
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect width="{width:.2f}" height="10" fill="{colour(row.precision)}"/></svg>'
    )


def shares(values: Sequence[float]) -> list[float]:
    """`values` as shares of one, none smaller than LEAST before they are brought to one again."""
    whole = sum(values) or 1.0
    raised = [max(value / whole, LEAST) for value in values]
    return [value / sum(raised) for value in raised]


def colour(precision: str) -> str:
    """The colour of a precision."""
    return COLOURS.get(precision, OTHER)


def title(row: Row) -> str:
    """What a layer says of itself when it is pointed at."""
    parts = [row.label, row.layer.op, row.precision, f"stream {row.layer.stream}" if row.has_tensors else ""]
    if row.layer.milliseconds is not None:
        parts.append(f"{row.layer.milliseconds:.4f} ms")
    return " · ".join(part for part in parts if part)
