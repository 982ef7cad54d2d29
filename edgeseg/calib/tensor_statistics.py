"""What one tensor held so far: what a row of the range table is made of, and can be taken up from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.extremes import Extremes
from edgeseg.calib.histogram import Histogram
from edgeseg.calib.range import ChannelStats, TensorStats

Floats = NDArray[np.float32]


@dataclass
class TensorStatistics:
    """The state after some images. It is no more than the row tells, so that a row and their number restore it."""

    extremes: Extremes = field(default_factory=Extremes)
    histogram: Histogram = field(default_factory=Histogram)
    channels: ChannelStats | None = None

    @classmethod
    def from_stats(cls, stats: TensorStats, images: int, *, by_channel: bool) -> TensorStatistics:
        """The state that gave `stats`, which has averages, after `images` images. by_channel: keep the channels too."""
        averages = (float(stats.average_minimum or 0), float(stats.average_maximum or 0))
        extremes = Extremes(stats.minimum, stats.maximum, *averages, images)
        histogram = Histogram(stats.histogram.exponent, stats.histogram.counts.copy())
        return cls(extremes, histogram, stats.channels if by_channel else None)

    def add(self, minimum: Floats, maximum: Floats, mean: Floats, sample: Floats) -> None:
        """Take in one image: extremes and mean, of all (scalars) or by channel (C,), and a sample."""
        self.extremes.add(float(minimum.min()), float(maximum.max()))
        self.histogram.add(sample)
        if mean.ndim:
            absmax = np.maximum(np.abs(minimum), np.abs(maximum))
            before = self.channels or ChannelStats(np.zeros_like(mean), absmax)
            share = np.float32(1 / self.extremes.images)
            self.channels = ChannelStats(before.mean + share * (mean - before.mean), np.maximum(before.absmax, absmax))

    def stats(self, name: str) -> TensorStats:
        """The row of the tensor called `name`."""
        seen = self.extremes
        averages = (seen.average_minimum, seen.average_maximum)
        return TensorStats(name, seen.minimum, seen.maximum, self.histogram, *averages, self.channels)
