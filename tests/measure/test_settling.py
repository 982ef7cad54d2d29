"""When a measurement counts as settled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.measure.settling import WarmUp, batches_of, is_settled


@given(st.lists(st.floats(0, 1), max_size=60), st.integers(1, 12))
def test_batches_keep_all_samples_in_order_and_differ_by_one_at_most(samples: list[float], count: int) -> None:
    batches = batches_of(samples, count)
    assert [sample for batch in batches for sample in batch] == samples
    sizes = [len(batch) for batch in batches]
    assert not sizes or max(sizes) - min(sizes) <= 1


def test_steady_latencies_are_settled_although_some_are_outliers() -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(20, 0.4, 200)
    samples[::20] *= 3
    assert is_settled(list(samples))


def test_a_drift_is_not_settled() -> None:
    assert not is_settled(list(np.linspace(20, 22.5, 200)))


def test_three_batches_that_are_off_are_not_settled_and_two_are() -> None:
    samples = np.full(200, 20.0)
    samples[40:80] = 24.0
    assert is_settled(list(samples))
    samples[100:120] = 24.0
    assert not is_settled(list(samples))


@pytest.mark.parametrize("count", [0, 1, 9])
def test_fewer_than_ten_samples_are_not_settled(count: int) -> None:
    assert not is_settled([20.0] * count)


def test_a_warm_up_ends_when_the_latency_stops_falling() -> None:
    warm_up = WarmUp(100)
    while not warm_up.is_over:
        warm_up.samples.append(10.0 + 90 * 0.8 ** len(warm_up.samples))
    windows = [np.median(warm_up.samples[end - 5 : end]) for end in (len(warm_up.samples) - 5, len(warm_up.samples))]
    assert windows[0] <= 1.06 * windows[1]
    assert 20 <= len(warm_up.samples) < 40


def test_a_warm_up_that_does_not_converge_ends_at_its_limit() -> None:
    warm_up = WarmUp(33)
    while not warm_up.is_over:
        warm_up.samples.append(2.0 ** len(warm_up.samples))
    assert len(warm_up.samples) == 33


def test_a_steady_system_needs_two_windows() -> None:
    warm_up = WarmUp(100)
    while not warm_up.is_over:
        warm_up.samples.append(5.0)
    assert len(warm_up.samples) == 10
