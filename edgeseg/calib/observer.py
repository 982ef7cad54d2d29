"""What every observer has in common: it sees values once, keeps extremes and a histogram, and names a range."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.histogram import Histogram
from edgeseg.calib.range import Range, TensorStats


class Observer(ABC):
    """Chooses the range of one tensor. No activation is kept."""

    def __init__(self) -> None:
        self.minimum, self.maximum = np.inf, -np.inf
        self.histogram = Histogram()

    def observe(self, values: NDArray[Any]) -> None:
        """Take in `values`, of any shape, all finite."""
        if values.size:
            self.minimum = min(self.minimum, float(values.min()))
            self.maximum = max(self.maximum, float(values.max()))
            self.histogram.add(values)

    @abstractmethod
    def range(self) -> Range:
        """The range to quantise to. Nothing seen: 0 to 0."""

    def within_extremes(self, minimum: float, maximum: float) -> Range:
        """The range, no wider than what was seen."""
        if self.minimum > self.maximum:
            return Range(0.0, 0.0)
        low, high = np.clip([minimum, maximum], self.minimum, self.maximum).tolist()
        return Range(low, high)

    @classmethod
    def from_stats(cls, stats: TensorStats) -> Observer:
        """An observer that has seen what `stats` tells of: the choice after calibration."""
        observer = cls()
        observer.minimum, observer.maximum, observer.histogram = stats.minimum, stats.maximum, stats.histogram
        return observer
