from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.calib import OBSERVERS, open_observer, range_from_stats
from edgeseg.calib.histogram import BINS, Histogram
from edgeseg.calib.observers import Observer
from edgeseg.calib.range import Range, RangeTable, TensorStats
from edgeseg.errors import FormatError, UnknownNameError

VALUES = hnp.arrays(np.float32, st.integers(1, 300), elements=st.floats(-1e4, 1e4, width=32, allow_subnormal=False))


def histogram_of(*parts: np.ndarray) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(part)
    return histogram


def bin_width(values: np.ndarray) -> float:
    return 2 * 2.0 ** histogram_of(values).exponent / BINS


@given(VALUES, VALUES)
def test_the_histogram_is_independent_of_order_and_counts_every_value(first, second):
    one, other = histogram_of(first, second), histogram_of(second, first)
    assert np.array_equal(one.counts, other.counts)
    assert one.exponent == other.exponent
    assert one.counts.sum() == first.size + second.size
    assert np.array_equal(one.counts, histogram_of(np.concatenate([first, second])).counts)


@given(VALUES)
def test_the_histogram_survives_its_text(values):
    histogram = histogram_of(values)
    again = Histogram.from_dict(histogram.to_dict())
    assert again.exponent == histogram.exponent
    assert np.array_equal(again.counts, histogram.counts)


def test_a_histogram_with_too_many_bins_is_refused():
    data = {**histogram_of(np.arange(9.0)).to_dict(), "first": BINS - 1}
    with pytest.raises(FormatError, match="256"):
        Histogram.from_dict(data)


@pytest.mark.parametrize("draw", ["normal", "laplace", "exponential", "uniform"])
def test_percentile_agrees_with_numpy(draw):
    values = getattr(np.random.default_rng(0), draw)(size=200_000).astype(np.float32)
    observer = open_observer("percentile")()
    for part in np.split(values, 10):
        observer.observe(part)
    interval = observer.range()
    low, high = np.percentile(values, [0.01, 99.99])
    # a histogram is right to one bin
    assert abs(interval.maximum - high) <= bin_width(values)
    assert abs(interval.minimum - low) <= bin_width(values)


def test_minmax_is_exact():
    values = np.random.default_rng(1).normal(size=5000).astype(np.float32)
    observer = open_observer("minmax")()
    for part in np.split(values, 5):
        observer.observe(part)
    assert (observer.range().minimum, observer.range().maximum) == (values.min(), values.max())


def test_least_squares_clips_a_lone_outlier_and_keeps_a_uniform_range():
    rng = np.random.default_rng(2)
    uniform = rng.uniform(-1, 1, 100_000)
    outlier = np.append(rng.normal(0, 1, 1_000_000), 40.0)
    ranges = []
    for values in (uniform, outlier):
        observer = open_observer("mse")()
        observer.observe(values.astype(np.float32))
        ranges.append(observer.range())
    assert ranges[0].absmax > 0.98
    # (40 - t)^2 + 1e6 * (2 t / 254)^2 / 12 is least at t = 6.5
    assert 4 < ranges[1].absmax < 10


def test_an_average_of_images_is_not_moved_much_by_an_odd_one():
    observer = open_observer("average")()
    for _ in range(9):
        observer.observe(np.array([-1, 3], np.float32))
    observer.observe(np.array([-11, 103], np.float32))
    # (9 * -1 - 11) / 10 and (9 * 3 + 103) / 10, within the extremes
    assert (observer.range().minimum, observer.range().maximum) == pytest.approx((-2, 13))


def test_the_average_of_many_images_is_that_of_torch():
    extremes = np.sort(np.random.default_rng(3).normal(size=(300, 2)), axis=1)
    observer = open_observer("average")()
    for pair in extremes:
        observer.observe(pair)
    low, high = extremes[:100].mean(axis=0)
    for minimum, maximum in extremes[100:]:
        low, high = low + 0.01 * (minimum - low), high + 0.01 * (maximum - high)
    assert (observer.range().minimum, observer.range().maximum) == pytest.approx((low, high))


def test_a_table_without_averages_falls_back_to_the_extremes():
    stats = TensorStats("x", -1.0, 2.0, histogram_of(np.array([-1.0, 2.0])))
    assert range_from_stats(stats, "average") == range_from_stats(stats, "minmax")


@pytest.mark.parametrize("draw", ["normal", "laplace", "exponential"])
def test_entropy_is_near_the_original_on_2048_bins(draw):
    values = getattr(np.random.default_rng(0), draw)(size=200_000).astype(np.float32)
    observer = open_observer("entropy")()
    observer.observe(values)
    # our bins are 16 times as coarse, and the distribution inside one is estimated from its neighbours
    assert observer.range().absmax == pytest.approx(limit_of_the_original(np.abs(values)), rel=0.15)


def limit_of_the_original(magnitudes: np.ndarray) -> float:
    """The search of the talk, bin by bin and level by level."""
    counts, edges = np.histogram(magnitudes, 2048, (0, magnitudes.max()))
    candidates = []
    for bins in range(128, 2049, 8):
        original = counts[:bins].astype(float)
        original[-1] += counts[bins:].sum()
        merged = np.zeros(bins)
        for part in np.array_split(np.arange(bins), 128):
            filled = part[original[part] > 0]
            merged[filled] = counts[part].sum() / max(len(filled), 1)
        some = original > 0
        p, q = original[some] / original.sum(), merged[some] / merged.sum()
        candidates.append((np.inf if (q <= 0).any() else (p * np.log(p / q)).sum(), edges[bins]))
    return float(min(candidates)[1])


def test_entropy_clips_a_lone_outlier_and_keeps_a_uniform_range():
    rng = np.random.default_rng(2)
    ranges = []
    for values in (rng.uniform(-1, 1, 100_000), np.append(rng.normal(0, 1, 100_000), 40.0)):
        observer = open_observer("entropy")()
        observer.observe(values.astype(np.float32))
        ranges.append(observer.range().absmax)
    assert ranges[0] > 0.98
    assert 3 < ranges[1] < 10


def test_the_table_lists_every_observer():
    assert {open_observer(name) for name in OBSERVERS} == set(Observer.__subclasses__())


# laws of every observer


def observed(name: str, *images: np.ndarray) -> Observer:
    observer = open_observer(name)()
    for image in images:
        observer.observe(image)
    return observer


def stats_of(observer: Observer) -> TensorStats:
    extremes = observer.extremes
    averages = (extremes.average_minimum, extremes.average_maximum)
    return TensorStats("x", extremes.minimum, extremes.maximum, observer.histogram, *averages)


@pytest.mark.parametrize("name", OBSERVERS)
@given(images=st.lists(VALUES, min_size=1, max_size=4))
def test_a_range_lies_within_the_observed_extremes(name, images):
    interval = observed(name, *images).range()
    low, high = min(image.min() for image in images), max(image.max() for image in images)
    assert low <= interval.minimum <= interval.maximum <= high


@pytest.mark.parametrize("name", OBSERVERS)
@given(images=st.lists(VALUES, min_size=1, max_size=4))
def test_a_range_can_be_chosen_from_the_file(name, images):
    observer = observed(name, *images)
    table = RangeTable("graph", "net", len(images), "0", {"id": stats_of(observer)})
    again = RangeTable.from_json(table.to_json())
    assert range_from_stats(again.tensors["id"], name) == observer.range()


@pytest.mark.parametrize("name", OBSERVERS)
def test_nothing_seen_is_an_empty_range(name):
    assert open_observer(name)().range() == observed(name, np.zeros((0, 3))).range() == Range(0.0, 0.0)


@pytest.mark.parametrize("name", OBSERVERS)
@given(value=st.floats(-1e4, 1e4, width=32, allow_subnormal=False), images=st.integers(1, 3))
def test_equal_values_are_covered_to_the_last_bit(name, value, images):
    assert observed(name, *[np.full(50, value, np.float32)] * images).range() == Range(value, value)


@pytest.mark.parametrize("name", OBSERVERS)
@given(values=VALUES)
def test_a_range_of_one_sign_keeps_it(name, values):
    assert observed(name, np.abs(values)).range().minimum >= 0
    assert observed(name, -np.abs(values)).range().maximum <= 0


@pytest.mark.parametrize("name", OBSERVERS)
@given(values=hnp.arrays(np.int32, st.integers(1, 300), elements=st.integers(-5000, 5000)), power=st.integers(-10, 20))
def test_a_range_grows_with_the_values(name, values, power):
    """By powers of two, which change no bin; all values here are far above the histogram's smallest limit."""
    factor = 2.0**power
    one, other = observed(name, values).range(), observed(name, values * factor).range()
    assert (other.minimum, other.maximum) == (one.minimum * factor, one.maximum * factor)


@pytest.mark.parametrize("name", OBSERVERS)
def test_most_of_a_normal_distribution_is_covered(name):
    values = np.random.default_rng(4).normal(size=100_000).astype(np.float32)
    found = observed(name, values).range()
    assert (np.abs(values) <= found.absmax).mean() > 0.999


def test_unknown_observer():
    with pytest.raises(UnknownNameError, match="unknown observer: percentil") as caught:
        open_observer("percentil")
    assert caught.value.hint == "did you mean percentile?"
