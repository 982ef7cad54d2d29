"""A figure with the interval that it lies in: what a few pictures or rounds can say, and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its 95% interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Plain data."""
        return {"value": self.value, "low": self.low, "high": self.high}


def bootstrap(figure: Callable[[Floats], Floats], n: int, *, seed: int = 0) -> Estimate:
    """The estimate of a figure over `n` cases, by drawing n of them anew, with replacement, DRAWS times.

    figure: from weights (draws, n), how often each case counts, to one figure a draw; nan where a draw gives none.
    The percentile interval of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(np.float64)
    value = float(figure(np.ones((1, n)))[0])
    drawn = figure(weights)
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return Estimate(value, value, value)
    low, high = np.quantile(known, [0.025, 0.975]).tolist()
    return Estimate(value, low, high)


def mean_estimate(values: NDArray[Any]) -> Estimate:
    """The mean of `values` (n,), and how far it may lie from that of all there could be."""
    cases = np.asarray(values, np.float64)
    return bootstrap(lambda weights: weights @ cases / weights.sum(1), len(cases))
