from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.measure.estimate import (
    Estimate,
    bootstrap,
    mean_estimate,
    median_of_ratios,
    ratio_of_medians,
    student_quantile,
    weighted_middles,
)


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


def test_draws_in_blocks_are_the_same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(7)
    whole = mean_estimate(values)
    monkeypatch.setattr("edgeseg.measure.estimate.MAX_WEIGHTS", 7 * 300 + 1)
    assert mean_estimate(values) == whole


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(9.0)
    assert mean_estimate(values) == mean_estimate(values)


@pytest.mark.parametrize(("n", "share", "expected"), [(2, 0.995, 63.657), (3, 0.995, 9.925), (4, 0.975, 3.182),
                                                      (10, 0.995, 3.250), (20, 0.975, 2.093)])  # fmt: skip
def test_students_quantiles_are_those_of_the_tables(n: int, share: float, expected: float) -> None:
    assert student_quantile(share, n - 1) == pytest.approx(expected, rel=0.005 if n > 4 else 0.02)


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_a_weighted_middle_is_the_median_of_the_repeated_values(values: list[float], random: Random) -> None:
    weights = [random.randrange(4) for _ in values]
    weights[0] += 1
    repeated = np.repeat(values, weights)
    assert weighted_middles(np.array([weights], float), np.array(values))[0] == pytest.approx(np.median(repeated))


@pytest.mark.parametrize("n", [10, 20])
@pytest.mark.parametrize("paired", [True, False])
def test_the_interval_of_a_ratio_holds_its_confidence_with_few_blocks(n: int, paired: bool) -> None:
    """The blocks of both sides are drawn alike: the ratio is 1, and at most 1 of 100 intervals may miss it."""
    rng, of = np.random.default_rng(n), median_of_ratios if paired else ratio_of_medians
    ratios = [of(*np.exp(rng.normal(0, 0.03, (2, n))), 0.99) for _ in range(100)]
    missed = sum(not each.low <= 1 <= each.high for each in ratios)
    assert missed <= 4  # 100 of 1% are 1; more than 4 have a chance of 0.3%


def test_a_ratio_is_that_of_the_blocks() -> None:
    base = np.array([1.0, 2.0, 4.0])
    assert median_of_ratios(base, 3 * base, 0.99) == Estimate(3.0, 3.0, 3.0)
    assert ratio_of_medians(np.full(4, 2.0), np.full(6, 5.0), 0.99) == Estimate(2.5, 2.5, 2.5)
