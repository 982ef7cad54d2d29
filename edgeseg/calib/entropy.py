"""Clip where the codes tell the least of the distribution away: the smallest Kullback-Leibler divergence.

The search of S. Migacz, "8-bit Inference with TensorRT" (GTC 2017): for each limit, P is the distribution of
magnitudes with all that is larger put into its last bin, Q the distribution below the limit after merging into 128
levels, spread evenly over those bins of a level that P fills; the limit with the least sum of P log(P / Q) wins. As in
NVIDIA's pytorch-quantization, the first bin counts as much as the second: a ReLU's exact zeros cost nothing at any
limit. There the bins are 2048; here each of the 128 is cut into 128 by the slope between its neighbours, for else a bin
would be no wider than a level, and rounding free.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.calib.histogram import BINS
from edgeseg.calib.observer import Observer
from edgeseg.calib.range import Range

HALF = BINS // 2
LEVELS = 128  # magnitudes of int8; also the parts of a bin, so that the levels below any border are whole parts


class Entropy(Observer):
    """The symmetric range with the least divergence; its ends lie on borders of the histogram's bins."""

    def range(self) -> Range:
        """The interval from minus to plus the best limit."""
        counts = self.histogram.counts
        magnitudes = (counts[HALF:] + counts[:HALF][::-1]).astype(np.float64)
        magnitudes[0] = magnitudes[1]
        best = self.histogram.edges[HALF + 1 + int(np.argmin(divergences(parts_of_bins(magnitudes))))]
        return self.within_extremes(-float(best), float(best))


def parts_of_bins(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """`counts` (HALF,) as (HALF * LEVELS,): each bin's count kept, rising or falling as its neighbours do."""
    around = np.concatenate([counts[:1], counts, [0.0]])
    slopes = np.clip((around[2:] - around[:-2]) / 2, -2 * counts, 2 * counts)  # steeper ones would go below zero
    offsets = (np.arange(LEVELS) + 0.5) / LEVELS - 0.5
    return np.asarray((counts[:, None] + slopes[:, None] * offsets) / LEVELS).reshape(-1)


def divergences(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The divergence at each border (HALF,): at border n, n of the parts are one level. Infinite where Q misses P."""
    ends = np.arange(1, HALF + 1)
    borders = ends[:, None] * np.arange(LEVELS + 1)
    masses = np.diff(running(parts)[borders], axis=1)
    filled = np.diff(running(parts > 0)[borders], axis=1)
    last = parts[ends * LEVELS - 1]
    inside = masses.sum(axis=1)
    outside = parts.sum() - inside
    filled[:, -1] += (last == 0) & (outside > 0)
    even = masses / np.maximum(filled, 1)
    own = running(entropy_terms(parts))[ends * LEVELS] - entropy_terms(last) + entropy_terms(last + outside)
    merged = (masses * logarithm(even)).sum(axis=1) + outside * logarithm(even[:, -1])
    total = max(float(parts.sum()), 1.0)
    # sum of p log(p / q) with p = parts / total, q = even / inside
    found = (own - merged) / total + logarithm(inside) - np.log(total)
    missed = (inside <= 0) | ((outside > 0) & (even[:, -1] <= 0))
    return np.where(missed, np.inf, found)


def running(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sums of the first 0, 1, 2 and more of `values`."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def logarithm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The natural logarithm; 0 where there is nothing to weigh it."""
    return np.log(np.where(values > 0, values, 1.0))


def entropy_terms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """X log x of each value, 0 at 0."""
    return values * logarithm(values)


OBSERVER = Entropy
