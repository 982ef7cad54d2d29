"""Cover everything that was seen: no clipping, and coarse steps where a single value lies far out."""

from __future__ import annotations

import numpy as np

from edgeseg.calib.observer import Observer
from edgeseg.calib.range import Range


class MinMax(Observer):
    """The exact extremes."""

    def range(self) -> Range:
        """The smallest and the largest value seen."""
        return self.within_extremes(-np.inf, np.inf)


OBSERVER = MinMax
