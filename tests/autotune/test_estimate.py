from __future__ import annotations

import numpy as np

from edgeseg.autotune.estimate import bootstrap, mean_estimate


def test_equal_cases_have_an_empty_interval() -> None:
    estimate = mean_estimate(np.full(20, 0.25))
    assert (estimate.value, estimate.low, estimate.high) == (0.25, 0.25, 0.25)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    estimates = [mean_estimate(rng.normal(3, 1, 40)) for _ in range(200)]
    covered = sum(each.low <= 3 <= each.high for each in estimates)
    assert 175 <= covered <= 200  # 95% of 200, less a little for percentile intervals of 40 cases; 3 deviations are 9


def test_more_cases_narrow_it() -> None:
    rng = np.random.default_rng(1)
    few, many = (mean_estimate(rng.normal(0, 1, n)) for n in (10, 1000))
    assert many.high - many.low < (few.high - few.low) / 4


def test_undefined_draws_are_ignored() -> None:
    estimate = bootstrap(lambda weights: np.where(weights[:, 0] > 0, 2.0, np.nan), 3)
    assert (estimate.value, estimate.low, estimate.high) == (2.0, 2.0, 2.0)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(9.0)
    assert mean_estimate(values) == mean_estimate(values)
