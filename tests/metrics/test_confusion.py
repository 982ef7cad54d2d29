from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.errors import DataError, SizeError
from edgeseg.metrics.confusion import ConfusionMatrix, count_pairs, count_pairs_numpy

Mask = NDArray[np.uint8]


def counted(labels: Mask, truth: Mask, classes: int, ignore_index: int = 255) -> ConfusionMatrix:
    matrix = ConfusionMatrix(classes, ignore_index)
    matrix.update(labels, truth)
    return matrix


def masks(seed: int, size: tuple[int, int], classes: int) -> tuple[Mask, Mask]:
    """Labels and truth in runs, as masks are, with a tenth of the truth ignored."""
    rng = np.random.default_rng(seed)
    runs = rng.integers(1, 20)
    truth = rng.integers(0, classes, size).repeat(runs, axis=1)[:, : size[1]].astype(np.uint8)
    labels = np.where(rng.random(size) < 0.3, rng.integers(0, classes, size), truth).astype(np.uint8)
    truth[rng.random(size) < 0.1] = 255
    return labels, truth


cases = {
    "seed": st.integers(0, 2**32 - 1),
    "size": st.tuples(st.integers(1, 30), st.integers(1, 70)),
    "classes": st.integers(1, 30),
}


@given(seed=cases["seed"], size=cases["size"], classes=st.integers(1, 300), ignore=st.integers(-1, 256))
def test_count_equals_the_twin_on_any_bytes(seed: int, size: tuple[int, int], classes: int, ignore: int) -> None:
    rng = np.random.default_rng(seed)
    labels, truth = rng.integers(0, 256, (2, *size), dtype=np.uint8).repeat(rng.integers(1, 17), axis=2)
    counts = count_pairs(labels, truth, classes, ignore)
    assert counts.sum() == labels.size
    np.testing.assert_array_equal(counts, count_pairs_numpy(labels, truth, classes, ignore))


@given(**cases)
def test_equals_torchmetrics(seed: int, size: tuple[int, int], classes: int) -> None:
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("torchmetrics.functional.classification")
    classes = max(classes, 2)  # torchmetrics takes no single class
    labels, truth = masks(seed, size, classes)
    matrix = counted(labels, truth, classes)
    pair = (torch.from_numpy(labels.astype(np.int64)), torch.from_numpy(truth.astype(np.int64)))
    expected = reference.multiclass_confusion_matrix(*pair, classes, ignore_index=255)
    np.testing.assert_array_equal(matrix.counts, expected.numpy())
    jaccard = reference.multiclass_jaccard_index(*pair, classes, average="none", ignore_index=255).numpy()
    occurs = ~np.isnan(matrix.iou())
    # torchmetrics works in float32, and gives 0 for classes that do not occur
    np.testing.assert_allclose(matrix.iou()[occurs], jaccard[occurs], rtol=1e-6)


@given(**cases)
def test_merging_is_concatenation(seed: int, size: tuple[int, int], classes: int) -> None:
    first, second = masks(seed, size, classes), masks(seed + 1, size, classes)
    whole = counted(np.vstack([first[0], second[0]]), np.vstack([first[1], second[1]]), classes)
    merged = counted(*first, classes).merge(counted(*second, classes))
    np.testing.assert_array_equal(merged.counts, whole.counts)
    both = counted(*first, classes)
    both.update(*second)
    np.testing.assert_array_equal(both.counts, whole.counts)


@given(**cases)
def test_perfect_prediction_is_one(seed: int, size: tuple[int, int], classes: int) -> None:
    truth, _ = masks(seed, size, classes)
    matrix = counted(truth, truth, classes)
    assert matrix.miou() == matrix.pixel_accuracy() == matrix.mean_pixel_accuracy() == 1.0
    occurs = np.isin(np.arange(classes), truth)
    np.testing.assert_array_equal(np.isnan(matrix.iou()), ~occurs)
    assert np.all(matrix.dice()[occurs] == 1.0)


@given(**cases)
def test_renaming_classes_permutes_the_figures(seed: int, size: tuple[int, int], classes: int) -> None:
    labels, truth = masks(seed, size, classes)
    order = np.random.default_rng(seed).permutation(classes)
    renamed = np.append(order, np.full(256 - classes, 255)).astype(np.uint8)
    matrix, other = counted(labels, truth, classes), counted(renamed[labels], renamed[truth], classes)
    np.testing.assert_array_equal(other.counts[np.ix_(order, order)], matrix.counts)
    np.testing.assert_array_equal(other.iou()[order], matrix.iou())
    # the same figures summed in another order
    np.testing.assert_allclose(other.miou(), matrix.miou(), rtol=1e-12)


@given(**cases)
def test_swapping_truth_and_labels_transposes(seed: int, size: tuple[int, int], classes: int) -> None:
    labels, _ = masks(seed, size, classes)
    truth, _ = masks(seed + 1, size, classes)
    matrix, swapped = counted(labels, truth, classes), counted(truth, labels, classes)
    np.testing.assert_array_equal(matrix.counts, swapped.counts.T)
    np.testing.assert_array_equal(matrix.iou(), swapped.iou())
    np.testing.assert_allclose(matrix.dice(), 2 * matrix.iou() / (1 + matrix.iou()), rtol=1e-12)


def test_figures_by_hand() -> None:
    """Two classes that occur, one that is predicted alone (IoU 0, counted) and one that is nowhere (left out)."""
    truth = np.array([[0, 0, 0, 1, 1, 255]], np.uint8)
    labels = np.array([[0, 0, 2, 1, 0, 3]], np.uint8)
    matrix = counted(labels, truth, 4)
    assert matrix.counts.tolist() == [[2, 0, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(matrix.iou(), [2 / 4, 1 / 2, 0, np.nan])
    np.testing.assert_array_equal(matrix.dice(), [4 / 6, 2 / 3, 0, np.nan])
    assert matrix.miou() == pytest.approx(1 / 3)
    assert matrix.pixel_accuracy() == 3 / 5
    assert matrix.mean_pixel_accuracy() == pytest.approx((2 / 3 + 1 / 2) / 2)
    figures = matrix.to_dict(["road", "car", "sky", "dog"])
    assert figures["iou"] == {"road": 0.5, "car": 0.5, "sky": 0.0, "dog": None}
    assert figures["pixels"] == 5
    assert json.loads(json.dumps(figures)) == figures


def test_miou_is_of_the_data_set_not_the_mean_over_images() -> None:
    ones = np.ones((1, 99), np.uint8)
    matrix = counted(ones, ones, 2)
    matrix.update(np.array([[0]], np.uint8), np.array([[1]], np.uint8))
    assert matrix.iou().tolist() == [0.0, 0.99]


def test_nothing_counted_gives_nan() -> None:
    ignored = np.full((3, 9), 255, np.uint8)
    matrix = counted(ignored, ignored, 3)
    assert matrix.counts.sum() == 0
    assert np.isnan([matrix.miou(), matrix.pixel_accuracy(), matrix.mean_pixel_accuracy()]).all()
    assert matrix.to_dict(["a", "b", "c"])["miou"] is None


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint16])
def test_other_integer_types_and_strides(dtype: type) -> None:
    labels, truth = masks(0, (20, 33), 5)
    truth[truth == 255] = 99
    expected = counted(labels, truth, 5, ignore_index=99).counts
    converted = counted(labels.astype(dtype), truth.astype(dtype), 5, ignore_index=99)
    np.testing.assert_array_equal(converted.counts, expected)
    strided = counted(np.asfortranarray(labels)[:, ::-1], np.asfortranarray(truth)[:, ::-1], 5, ignore_index=99)
    np.testing.assert_array_equal(strided.counts, expected)


def test_unaligned_and_read_only_masks() -> None:
    labels, truth = masks(1, (20, 33), 5)
    expected = counted(labels[1:], truth[1:].copy(), 5).counts
    labels.flags.writeable = False
    np.testing.assert_array_equal(counted(labels[1:], truth[1:], 5).counts, expected)


def test_ignore_index_among_the_classes_or_negative() -> None:
    truth = np.array([[0, 1, 2, -1]])
    labels = np.array([[1, 1, 0, 7]])
    assert counted(labels, truth, 3, ignore_index=-1).counts.sum() == 3
    background = counted(labels[:, :3].astype(np.uint8), truth[:, :3].astype(np.uint8), 3, ignore_index=0)
    assert background.counts.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_ids_out_of_range_are_named_and_nothing_is_added(dtype: type) -> None:
    good = np.zeros((2, 20), dtype)
    bad = good.copy()
    bad[0, 3:6] = 19
    bad[1, 7] = 33
    matrix = ConfusionMatrix(19)
    with pytest.raises(DataError) as caught:
        matrix.update(good, bad)
    assert "4 truth pixels" in caught.value.message
    assert "19, 33" in caught.value.message
    with pytest.raises(DataError) as caught:
        matrix.update(bad, good)
    assert "4 predicted pixels" in caught.value.message
    assert matrix.counts.sum() == 0
    matrix.update(bad, np.full_like(good, 255))  # predictions on ignored pixels do not count
    assert matrix.counts.sum() == 0


def test_other_errors() -> None:
    with pytest.raises(SizeError, match=r"\(2, 2\).*\(2, 3\)"):
        counted(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), 2)
    with pytest.raises(DataError, match=r"2 classes .*3"):
        ConfusionMatrix(2).merge(ConfusionMatrix(3))
    with pytest.raises(DataError, match="1 names for 2 classes"):
        ConfusionMatrix(2).to_dict(["road"])
