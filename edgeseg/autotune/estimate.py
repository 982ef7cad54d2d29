"""Estimates with bootstrap confidence intervals."""

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
    """A value and its 95% confidence interval."""

    value: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Plain data."""
        return {"value": self.value, "low": self.low, "high": self.high}


def bootstrap(statistic: Callable[[Floats], Floats], n: int, *, seed: int = 0) -> Estimate:
    """The estimate of a statistic over `n` cases, by resampling them DRAWS times with replacement.

    statistic: from weights (draws, n), how often each case counts, to one value per draw; nan where it is undefined.
    The percentile interval of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
    """
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=DRAWS).astype(np.float64)
    value = float(statistic(np.ones((1, n)))[0])
    values = statistic(weights)
    defined = values[~np.isnan(values)]
    if not defined.size:
        return Estimate(value, value, value)
    low, high = np.quantile(defined, [0.025, 0.975]).tolist()
    return Estimate(value, low, high)


def mean_estimate(values: NDArray[Any]) -> Estimate:
    """The mean of `values` (n,) with its interval."""
    cases = np.asarray(values, np.float64)
    return bootstrap(lambda weights: weights @ cases / weights.sum(1), len(cases))
