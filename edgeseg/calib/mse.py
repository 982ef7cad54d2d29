"""Clip where the sum of rounding and clipping error is least, in the mean of squares."""

from __future__ import annotations

import numpy as np

from edgeseg.calib.histogram import BINS
from edgeseg.calib.observer import Observer
from edgeseg.calib.range import Range

STEPS = 254  # of symmetric int8, -127 to 127


class LeastSquares(Observer):
    """The symmetric range with the least squared error under uniform rounding (error step**2 / 12)."""

    def range(self) -> Range:
        """The interval; its ends lie on borders of the histogram's bins."""
        edges = self.histogram.edges
        centres = np.abs(edges[:-1] + edges[1:]) / 2
        limits = edges[BINS // 2 + 1 :]
        clipped = np.maximum(centres[None, :] - limits[:, None], 0) ** 2
        rounded = np.where(centres[None, :] <= limits[:, None], (2 * limits[:, None] / STEPS) ** 2 / 12, 0)
        error = (clipped + rounded) @ self.histogram.counts
        best = float(limits[int(np.argmin(error))])
        return self.within_extremes(-best, best)


OBSERVER = LeastSquares
