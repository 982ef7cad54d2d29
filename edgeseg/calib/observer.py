"""What every observer has in common: it sees values once, keeps extremes and a histogram, and names a range."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.extremes import Extremes
from edgeseg.calib.histogram import Histogram
from edgeseg.calib.range import Range, TensorStats


class Observer(ABC):
    """Chooses the range of one tensor. No activation is kept."""

    def __init__(self) -> None:
        self.extremes = Extremes()
        self.histogram = Histogram()

    def observe(self, values: NDArray[Any]) -> None:
        """Take in one image's `values`, of any shape, all finite."""
        if values.size:
            self.extremes.add(float(values.min()), float(values.max()))
            self.histogram.add(values)

    @abstractmethod
    def range(self) -> Range:
        """The range to quantise to. Nothing seen: 0 to 0."""

    def within_extremes(self, minimum: float, maximum: float) -> Range:
        """The range, no wider than what was seen."""
        seen = self.extremes
        if seen.minimum > seen.maximum:
            return Range(0.0, 0.0)
        low, high = np.clip([minimum, maximum], seen.minimum, seen.maximum).tolist()
        return Range(low, high)

    @classmethod
    def from_stats(cls, stats: TensorStats) -> Observer:
        """An observer that has seen what `stats` tells of: the choice after calibration.

        Where `stats` has no averages, every image counts as having had the extremes.
        """
        observer = cls()
        low = stats.minimum if stats.average_minimum is None else stats.average_minimum
        high = stats.maximum if stats.average_maximum is None else stats.average_maximum
        observer.extremes = Extremes(stats.minimum, stats.maximum, low, high)
        observer.histogram = stats.histogram
        return observer
