"""What every metric of the table must do: exact counts that neither order nor grouping changes."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.errors import DataError, SizeError, UnknownNameError
from edgeseg.metrics import METRICS, open_metric
from edgeseg.metrics.metric import Metric, MetricResult, arrays_from_metric, set_arrays

Pair = tuple[np.ndarray, np.ndarray]
CLASSES, EXTRA = 4, 2


def pairs(seed: int, count: int) -> list[Pair]:
    """Predicted labels, extra ones among them, and truths in runs, a tenth of each truth ignored."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        size = rng.integers(1, 30, 2)
        truth = rng.integers(0, CLASSES, size).repeat(rng.integers(1, 9), axis=1).astype(np.uint8)
        guess = rng.integers(0, CLASSES + EXTRA, truth.shape)
        labels = np.where(rng.random(truth.shape) < 0.3, guess, truth).astype(np.uint8)
        truth[rng.random(truth.shape) < 0.1] = 255
        made.append((labels, truth))
    return made


def images_of(name: str, seed: int, count: int) -> list[Pair]:
    """What the metric takes: images, or pairs of frames."""
    images = pairs(seed, count)
    if open_metric(name).frames == 1:
        return images
    return [tuple(np.stack([ids, np.roll(ids, 1, axis=1)]) for ids in image) for image in images]  # type: ignore[misc]


def counted(name: str, images: list[Pair]) -> Metric:
    metric = open_metric(name)(CLASSES, 255, EXTRA)
    for labels, truth in images:
        metric.update(labels, truth)
    return metric


def same(a: MetricResult, b: MetricResult) -> bool:
    """Equal to the last bit."""
    names = [f"class {i}" for i in range(CLASSES)]
    return a.to_dict(names) == b.to_dict(names)


@pytest.mark.parametrize("name", METRICS)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 6), cut=st.integers(0, 6))
def test_neither_order_nor_shards_change_a_figure(name: str, seed: int, count: int, cut: int) -> None:
    images = images_of(name, seed, count)
    whole = counted(name, images).result()
    shards = counted(name, images[:cut]), counted(name, images[cut:])
    before = [shard.result() for shard in shards]
    assert same(shards[0].merge(shards[1]).result(), whole)
    assert same(shards[1].merge(shards[0]).result(), whole)
    assert all(same(shard.result(), result) for shard, result in zip(shards, before)), "merge changes its parts"
    random.Random(seed).shuffle(images)
    assert same(counted(name, images).result(), whole)


@pytest.mark.parametrize("name", METRICS)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_perfect_prediction_has_the_best_figures(name: str, seed: int) -> None:
    images, best = images_of(name, seed, 3), open_metric(name).best
    perfect = counted(name, [(truth, truth) for _, truth in images]).result()
    other = counted(name, images).result()
    for result, holds in ((perfect, lambda figure: figure == best), (other, lambda figure: 0 <= figure <= 1)):
        figures = np.concatenate([list(result.overall.values()), *result.by_class.values()])
        assert all(holds(figure) or np.isnan(figure) for figure in figures)
    np.testing.assert_array_equal(perfect.pixels, other.pixels)


@pytest.mark.parametrize("name", METRICS)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_pixels_count_the_truth_and_ignored_ones_change_nothing(name: str, seed: int) -> None:
    images = images_of(name, seed, 2)
    result = counted(name, images).result()
    truths = np.concatenate([truth.ravel() for _, truth in images])
    np.testing.assert_array_equal(result.pixels, np.bincount(truths[truths != 255], minlength=CLASSES))
    other = [(np.where(truth == 255, 3, labels).astype(np.uint8), truth) for labels, truth in images]
    assert same(counted(name, other).result(), result)


@pytest.mark.parametrize("name", METRICS)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5))
def test_the_main_figure_follows_from_sums_that_add_up(name: str, seed: int, count: int) -> None:
    images = images_of(name, seed, count)
    whole, each = counted(name, images), np.stack([counted(name, [image]).sums() for image in images])
    np.testing.assert_array_equal(each.sum(0), whole.sums())
    figures = whole.main_figure(np.stack([whole.sums(), 0 * whole.sums()]).astype(np.float64))
    main = next(iter(whole.result().overall.values()))
    np.testing.assert_allclose(figures, [main, np.nan], rtol=1e-12)  # the mean is summed in another order


@pytest.mark.parametrize("name", METRICS)
def test_the_counts_of_a_metric_can_be_stored(name: str) -> None:
    metric, again = counted(name, images_of(name, 1, 3)), counted(name, [])
    arrays = arrays_from_metric(metric)
    assert {str(array.dtype) for array in arrays.values()} == {"int64"}
    set_arrays(again, arrays)
    assert same(again.result(), metric.result())
    for wrong in ({}, {key: array[..., :0] for key, array in arrays.items()}):
        with pytest.raises(DataError) as problem:
            set_arrays(again, wrong)
        assert problem.value.code == "ES-DATA"


@pytest.mark.parametrize("name", METRICS)
def test_nothing_counted_is_none_in_json(name: str) -> None:
    record = counted(name, []).result().to_dict("abcd")
    assert record.pop("pixels") == 0
    values = [v for value in record.values() for v in (value.values() if isinstance(value, dict) else [value])]
    assert values
    assert set(values) == {None}


@pytest.mark.parametrize("name", METRICS)
def test_what_does_not_fit_is_refused_and_nothing_is_added(name: str) -> None:
    metric = counted(name, images_of(name, 1, 1))
    before = metric.result()
    with pytest.raises(SizeError) as size:
        metric.update(np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.uint8))
    with pytest.raises(DataError) as ids:
        shape = (2,) * (1 + metric.frames)
        metric.update(np.zeros(shape, np.uint8), np.full(shape, CLASSES, np.uint8))
    with pytest.raises(DataError) as merged:
        metric.merge(open_metric(name)(CLASSES + 1, 255, EXTRA))
    assert [problem.value.code for problem in (size, ids, merged)] == ["ES-SIZE", "ES-DATA", "ES-DATA"]
    assert same(metric.result(), before)


def test_an_unknown_metric_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError) as problem:
        open_metric("mIoU")
    assert problem.value.hint == "did you mean miou?"
