"""Cover an average image: one odd image does not widen the range, and what it holds beyond is clipped."""

from __future__ import annotations

from edgeseg.calib.observer import Observer
from edgeseg.calib.range import Range


class MovingAverage(Observer):
    """The moving averages of each image's extremes (see `Extremes`); each call of `observe` is one image."""

    def range(self) -> Range:
        """The average image's smallest and largest value."""
        return self.within_extremes(self.extremes.average_minimum, self.extremes.average_maximum)


OBSERVER = MovingAverage
