"""Axes of charts: positions in percent of the drawing area, so that a chart fits every width, and round ticks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOG_RATIO = 8.0  # between the largest and the smallest value, from which on an axis is logarithmic
STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Tick:
    """at: in percent from the low end."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """Values from low to high."""

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """The position of a value in percent from the low end; beyond the ends it is that of the end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(100 * share, 3)

    def ticks(self, count: int = 5) -> list[Tick]:
        """Round values, about `count` of them."""
        values = _log_ticks(self.low, self.high, count) if self.log else _linear_ticks(self.low, self.high, count)
        return [Tick(self.at(value), f"{value:g}") for value in values]


def axis_from_zero(values: Sequence[float]) -> Axis:
    """An axis from 0 to a little above the largest value."""
    largest = max(values, default=0.0)
    return Axis(0.0, largest * 1.05 if largest > 0 else 1.0)


def axis_of_costs(values: Sequence[float]) -> Axis:
    """An axis from 0, or a logarithmic one where the values differ by more than LOG_RATIO."""
    positive = [value for value in values if value > 0]
    if len(positive) == len(values) and positive and max(positive) > LOG_RATIO * min(positive):
        return Axis(min(positive) / 1.15, max(positive) * 1.15, log=True)
    return axis_from_zero(values)


def axis_around(values: Sequence[float], least: float) -> Axis:
    """An axis with a margin below the smallest and above the largest value; it is at least `least` long."""
    low, high = min(values), max(values)
    margin = max(0.12 * (high - low), (least - (high - low)) / 2)
    return Axis(low - margin, high + margin)


def _linear_ticks(low: float, high: float, count: int) -> list[float]:
    raw = (high - low) / count
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(each * scale for each in STEPS if each * scale >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 10) for index in range(first, last + 1)]


def _log_ticks(low: float, high: float, count: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1.0, 2.0, 3.0, 5.0, 7.0), (1.0, 2.0, 5.0), (1.0, 3.0), (1.0,)):
        values = [step * 10.0**decade for decade in decades for step in steps]
        inside = [float(f"{value:g}") for value in values if low <= value <= high]
        if len(inside) <= count + 2:
            break
    return inside
