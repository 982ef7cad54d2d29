"""The Pareto line: the rows of which none is both faster and more accurate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """cost: less is better, such as milliseconds. value: more is better, such as mIoU."""

    cost: float
    value: float


def dominates(a: Point, b: Point) -> bool:
    """Whether `a` is at least as good as `b` in both, and better in one."""
    return a.cost <= b.cost and a.value >= b.value and a != b


def pareto_line(points: Sequence[Point]) -> list[int]:
    """The indices of the points that no other dominates, the cheapest first. Equal points are all on the line."""
    order = sorted(range(len(points)), key=lambda index: (points[index].cost, -points[index].value, index))
    line: list[int] = []
    for index in order:
        if not line or points[index].value > points[line[-1]].value or points[index] == points[line[-1]]:
            line.append(index)
    return line
