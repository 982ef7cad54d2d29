"""Leave out the rarest values at either end: finer steps for all others."""

from __future__ import annotations

from edgeseg.calib.observer import Observer
from edgeseg.calib.range import Range

SHARE = 0.9999


class Percentile(Observer):
    """The 0.01% and 99.99% quantile, right to a bin of the histogram."""

    def range(self) -> Range:
        """The interval between the quantiles."""
        return self.within_extremes(self.histogram.quantile(1 - SHARE), self.histogram.quantile(SHARE))


OBSERVER = Percentile
