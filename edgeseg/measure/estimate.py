"""Estimates with bootstrap confidence intervals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 2000
FEWEST_BEYOND = 5  # draws beyond either end of an interval, on average
MAX_DRAWS = 10_000
MAX_WEIGHTS = 1 << 22  # at a time: 32 MiB; 2000 draws of 100,000 images are 1.6 GB
Floats = NDArray[np.float64]
NORMAL = NormalDist()


@dataclass(frozen=True)
class Estimate:
    """A value and its confidence interval, of 95% where nothing else is said."""

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
    rng, most = np.random.default_rng(seed), max(1, MAX_WEIGHTS // n)
    blocks = [statistic(resampled(n, rng, min(most, DRAWS - done))) for done in range(0, DRAWS, most)]
    return estimate_from_draws(float(statistic(np.ones((1, n)))[0]), np.concatenate(blocks), 0.025)


def mean_estimate(values: NDArray[Any]) -> Estimate:
    """The mean of `values` (n,) with its interval."""
    cases = np.asarray(values, np.float64)
    return bootstrap(lambda weights: weights @ cases / weights.sum(1), len(cases))


def median_of_ratios(base: ArrayLike, other: ArrayLike, confidence: float, *, seed: int = 0) -> Estimate:
    """The median of `other` / `base` over blocks (n,) that were measured side by side, n >= 2.

    The interval is the expanded percentile interval, which holds its confidence with few blocks, too: Hesterberg, "What
    Teachers Should Know About the Bootstrap", The American Statistician 69 (2015), section 4.
    """
    ratios: Floats = np.asarray(other, np.float64) / np.asarray(base, np.float64)
    tail = expanded_tail(len(ratios), confidence)
    draws = weighted_middles(resampled(len(ratios), np.random.default_rng(seed), draws_for(tail)), ratios)
    return estimate_from_draws(float(np.median(ratios)), draws, tail)


def ratio_of_medians(base: ArrayLike, other: ArrayLike, confidence: float, *, seed: int = 0) -> Estimate:
    """The median of the blocks `other` (m,) by that of the blocks `base` (n,), of two separate runs; n, m >= 2.

    The blocks of each run are resampled by themselves. The interval is that of `median_of_ratios`; what differs from
    run to run, but not within one, is not in it.
    """
    rng, blocks = np.random.default_rng(seed), [np.asarray(each, np.float64) for each in (base, other)]
    tail = expanded_tail(min(map(len, blocks)), confidence)
    below, above = (weighted_middles(resampled(len(each), rng, draws_for(tail)), each) for each in blocks)
    return estimate_from_draws(float(np.median(blocks[1]) / np.median(blocks[0])), above / below, tail)


def estimate_from_draws(value: float, draws: Floats, tail: float) -> Estimate:
    """The estimate `value` with the interval that leaves the share `tail` of `draws` on either side."""
    defined = draws[~np.isnan(draws)]
    if not defined.size:
        return Estimate(value, value, value)
    low, high = np.quantile(defined, [tail, 1 - tail]).tolist()
    return Estimate(value, low, high)


def resampled(n: int, rng: np.random.Generator, draws: int = DRAWS) -> Floats:
    """Weights (draws, n): how often each of `n` cases is in each draw of `n` cases with replacement."""
    return rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float64)


def expanded_tail(n: int, confidence: float) -> float:
    """The share of the draws to leave out on either side, so that `n` cases give an interval of that confidence."""
    return NORMAL.cdf(-math.sqrt(n / (n - 1)) * student_quantile((1 + confidence) / 2, n - 1))


def draws_for(tail: float) -> int:
    """Enough draws for a quantile at `tail`."""
    return int(max(DRAWS, min(MAX_DRAWS, FEWEST_BEYOND / max(tail, FEWEST_BEYOND / MAX_DRAWS))))


def student_quantile(share: float, freedom: int) -> float:
    """The quantile of Student's t, by the expansion 26.7.5 of Abramowitz and Stegun, "Handbook" (1964).

    Exact for 1 and 2 degrees of freedom, where the expansion is poor.
    """
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) / math.sqrt(2 * share * (1 - share))
    z = NORMAL.inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, 1)))


def weighted_medians(weights: Floats, values: Floats) -> Floats:
    """The weighted (lower) median of `values` (n,) for each row of `weights` (draws, n)."""
    ordered, cumulative = _cumulative(weights, values)
    medians: Floats = ordered[(cumulative >= cumulative[:, -1:] / 2).argmax(1)]
    return medians


def weighted_middles(weights: Floats, values: Floats) -> Floats:
    """The weighted median as `numpy.median` has it: the mean of both middle values where there are two."""
    ordered, cumulative = _cumulative(weights, values)
    half = cumulative[:, -1:] / 2
    middles: Floats = (ordered[(cumulative >= half).argmax(1)] + ordered[(cumulative > half).argmax(1)]) / 2
    return middles


def _cumulative(weights: Floats, values: Floats) -> tuple[Floats, Floats]:
    """`values` in order, and for each row of `weights` their cumulative sum in that order."""
    order = np.argsort(values)
    return values[order], np.cumsum(weights[:, order], axis=1)
