from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgeseg.calib import OBSERVERS, open_observer, range_from_stats
from edgeseg.calib.histogram import BINS, Histogram
from edgeseg.calib.range import TensorStats
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
def test_the_histogram_forgets_the_order_and_loses_no_value(first, second):
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
    with pytest.raises(FormatError, match="more than 256 bins") as caught:
        Histogram.from_dict(data)
    assert "edgeseg calibrate" in caught.value.hint


@pytest.mark.parametrize("draw", ["normal", "laplace", "exponential", "uniform"])
def test_percentile_agrees_with_numpy(draw):
    values = getattr(np.random.default_rng(0), draw)(size=200_000).astype(np.float32)
    observer = open_observer("percentile")()
    for part in np.split(values, 10):
        observer.observe(part)
    found = observer.range()
    low, high = np.percentile(values, [0.01, 99.99])
    # a histogram is right to one bin
    assert abs(found.maximum - high) <= bin_width(values)
    assert abs(found.minimum - low) <= bin_width(values)


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


@pytest.mark.parametrize("name", OBSERVERS)
@given(values=VALUES)
def test_a_range_lies_within_what_was_seen_and_can_be_chosen_later(name, values):
    observer = open_observer(name)()
    observer.observe(values)
    found = observer.range()
    assert values.min() <= found.minimum <= values.max()
    assert values.min() <= found.maximum <= values.max()
    stats = TensorStats("x", float(values.min()), float(values.max()), observer.histogram)
    assert range_from_stats(stats, name) == found


@pytest.mark.parametrize("name", OBSERVERS)
def test_nothing_seen_is_an_empty_range(name):
    assert open_observer(name)().range().absmax == 0


def test_unknown_observer():
    with pytest.raises(UnknownNameError, match="unknown observer: percentil") as caught:
        open_observer("percentil")
    assert caught.value.hint == "did you mean percentile?"
