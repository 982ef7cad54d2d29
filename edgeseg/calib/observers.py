"""Observers: each sees the values of one tensor, image by image, and chooses the range that its int8 codes cover."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.histogram import BINS, Histogram
from edgeseg.calib.range import Range, TensorStats

Floats = NDArray[np.float64]
HALF = BINS // 2
AVERAGING_CONSTANT = 0.01  # torch.ao.quantization.MovingAverageMinMaxObserver's
QUANTILE = 0.9999
STEPS = 254  # of symmetric int8, -127 to 127
LEVELS = 128  # magnitudes of int8; also the parts of a bin, so that the levels below any border are whole parts


@dataclass
class Extremes:
    """minimum, maximum: over all images. average_minimum, average_maximum: moving averages of each image's own.

    average += weight * (value - average), the formula of torch's observer and of Jacob et al., 2018 (section 3.1). The
    first 1 / AVERAGING_CONSTANT images have equal weights; with a fixed weight the first image would dominate a short
    calibration.
    """

    minimum: float = math.inf
    maximum: float = -math.inf
    average_minimum: float = 0.0
    average_maximum: float = 0.0
    images: int = 0

    def add(self, minimum: float, maximum: float) -> None:
        """Add one image's smallest and largest value."""
        self.minimum, self.maximum = min(self.minimum, minimum), max(self.maximum, maximum)
        self.images += 1
        weight = max(1 / self.images, AVERAGING_CONSTANT)
        self.average_minimum += weight * (minimum - self.average_minimum)
        self.average_maximum += weight * (maximum - self.average_maximum)


class Observer(ABC):
    """Chooses the range of one tensor from extremes and a histogram; no activation is stored."""

    def __init__(self) -> None:
        self.extremes = Extremes()
        self.histogram = Histogram()

    def observe(self, values: NDArray[Any]) -> None:
        """Add the `values` of one image, of any shape, all finite."""
        if values.size:
            self.extremes.add(float(values.min()), float(values.max()))
            self.histogram.add(values)

    @abstractmethod
    def range(self) -> Range:
        """The range to quantise to; 0 to 0 where nothing was observed."""

    def within_extremes(self, minimum: float, maximum: float) -> Range:
        """The range from `minimum` to `maximum`, clipped to the observed extremes."""
        lowest, highest = self.extremes.minimum, self.extremes.maximum
        if lowest > highest:
            return Range(0.0, 0.0)
        return Range(*np.clip([minimum, maximum], lowest, highest).tolist())

    @classmethod
    def from_stats(cls, stats: TensorStats) -> Observer:
        """An observer in the state that a row of a range table records.

        Where `stats` has no averages, the extremes stand in for them.
        """
        observer = cls()
        low = stats.minimum if stats.average_minimum is None else stats.average_minimum
        high = stats.maximum if stats.average_maximum is None else stats.average_maximum
        observer.extremes = Extremes(stats.minimum, stats.maximum, low, high)
        observer.histogram = stats.histogram
        return observer


class MinMax(Observer):
    """The exact extremes: nothing is clipped, and one outlier makes all steps coarse."""

    def range(self) -> Range:
        """The smallest and the largest value."""
        return self.within_extremes(-np.inf, np.inf)


class MovingAverage(Observer):
    """The moving averages of each image's extremes (see `Extremes`): one unusual image does not widen the range."""

    def range(self) -> Range:
        """The smallest and largest value of an average image."""
        return self.within_extremes(self.extremes.average_minimum, self.extremes.average_maximum)


class Percentile(Observer):
    """The 0.01% and 99.99% quantiles, accurate to one bin of the histogram."""

    def range(self) -> Range:
        """The interval between the quantiles."""
        return self.within_extremes(self.histogram.quantile(1 - QUANTILE), self.histogram.quantile(QUANTILE))


class MeanSquaredError(Observer):
    """The symmetric range with the least mean squared error of clipping and uniform rounding (step**2 / 12)."""

    def range(self) -> Range:
        """The interval; its ends lie on borders of the histogram's bins."""
        edges = self.histogram.edges
        centres = np.abs(edges[:-1] + edges[1:]) / 2
        limits = edges[HALF + 1 :]
        clipped = np.maximum(centres[None, :] - limits[:, None], 0) ** 2
        rounded = np.where(centres[None, :] <= limits[:, None], (2 * limits[:, None] / STEPS) ** 2 / 12, 0)
        error = (clipped + rounded) @ self.histogram.counts
        best = float(limits[int(np.argmin(error))])
        return self.within_extremes(-best, best)


class Entropy(Observer):
    """The symmetric range with the smallest Kullback-Leibler divergence between float and quantised values.

    The search of S. Migacz, "8-bit Inference with TensorRT" (GTC 2017): for each limit, P is the distribution of
    magnitudes with everything larger added to its last bin; Q is the distribution below the limit merged into 128
    levels, where each level is spread evenly over its bins that P fills. The limit with the least sum of P log(P / Q)
    wins. As in NVIDIA's pytorch-quantization, the first bin gets the count of the second: the exact zeros of a ReLU
    cost nothing at any limit. The original uses 2048 bins; here each of 128 bins is divided into 128 parts by the
    slope between its neighbours, because a bin as wide as a level would make rounding free.
    """

    def range(self) -> Range:
        """The interval from minus to plus the best limit; its ends lie on borders of the histogram's bins."""
        counts = self.histogram.counts
        magnitudes = (counts[HALF:] + counts[:HALF][::-1]).astype(np.float64)
        magnitudes[0] = magnitudes[1]
        best = self.histogram.edges[HALF + 1 + int(np.argmin(divergences(parts_of_bins(magnitudes))))]
        return self.within_extremes(-float(best), float(best))


def parts_of_bins(counts: Floats) -> Floats:
    """`counts` (HALF,) as (HALF * LEVELS,): each bin keeps its total, with the slope between its neighbours."""
    padded = np.concatenate([counts[:1], counts, [0.0]])
    slopes = np.clip((padded[2:] - padded[:-2]) / 2, -2 * counts, 2 * counts)  # steeper slopes would go below zero
    offsets = (np.arange(LEVELS) + 0.5) / LEVELS - 0.5
    return np.asarray((counts[:, None] + slopes[:, None] * offsets) / LEVELS).reshape(-1)


def divergences(parts: Floats) -> Floats:
    """The divergence at each border (HALF,); at border n, one level is n parts. Infinite where Q is 0 and P is not."""
    ends = np.arange(1, HALF + 1)
    borders = ends[:, None] * np.arange(LEVELS + 1)
    masses = np.diff(cumulative_sums(parts)[borders], axis=1)
    filled = np.diff(cumulative_sums(parts > 0)[borders], axis=1)
    last = parts[ends * LEVELS - 1]
    inside = masses.sum(axis=1)
    outside = parts.sum() - inside
    filled[:, -1] += (last == 0) & (outside > 0)
    even = masses / np.maximum(filled, 1)
    own = cumulative_sums(x_log_x(parts))[ends * LEVELS] - x_log_x(last) + x_log_x(last + outside)
    merged = (masses * log_or_zero(even)).sum(axis=1) + outside * log_or_zero(even[:, -1])
    total = max(float(parts.sum()), 1.0)
    # sum of p log(p / q) with p = parts / total, q = even / inside
    result = (own - merged) / total + log_or_zero(inside) - np.log(total)
    undefined = (inside <= 0) | ((outside > 0) & (even[:, -1] <= 0))
    return np.where(undefined, np.inf, result)


def cumulative_sums(values: NDArray[np.generic]) -> Floats:
    """Sums of the first 0, 1, 2 and more of `values`."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def log_or_zero(values: Floats) -> Floats:
    """The natural logarithm; 0 where a value is not positive."""
    return np.log(np.where(values > 0, values, 1.0))


def x_log_x(values: Floats) -> Floats:
    """X log x of each value, 0 at 0."""
    return values * log_or_zero(values)
