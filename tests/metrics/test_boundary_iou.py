"""The boundary IoU by hand, against a count over all pairs of pixels, and its laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.metrics.boundary_iou import BoundaryIou, band
from edgeseg.metrics.confusion import ConfusionMatrix


def square(top: int, left: int, side: int, size: int = 40) -> np.ndarray:
    """(size, size): class 1 in a square, class 0 around it."""
    labels = np.zeros((size, size), np.uint8)
    labels[top : top + side, left : left + side] = 1
    return labels


def boundary_iou(labels: np.ndarray, truth: np.ndarray, radius: float | None = None, classes: int = 2) -> list[float]:
    metric = BoundaryIou(classes, radius=radius)
    metric.update(labels, truth)
    return metric.result().by_class["boundary_iou"].tolist()


def brute_force(labels: np.ndarray, truth: np.ndarray, radius: float, classes: int) -> list[float]:
    """The definition, one pair of pixels after another."""
    counted = truth != 255
    places = np.argwhere(np.ones_like(counted))
    ious = []
    for label in range(classes):
        bands = []
        for ids in (labels, truth):
            outside = np.argwhere(counted & (ids != label))
            distances = ((places[:, None] - outside[None]) ** 2).sum(-1).min(1, initial=10**9).reshape(truth.shape)
            bands.append(counted & (ids == label) & (distances <= radius**2))
        union = np.count_nonzero(bands[0] | bands[1])
        ious.append(np.count_nonzero(bands[0] & bands[1]) / union if union else np.nan)
    return ious


def images(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, (7, 3)).repeat(4, axis=1).astype(np.uint8)
    labels = np.where(rng.random(truth.shape) < 0.2, rng.integers(0, 3, truth.shape), truth).astype(np.uint8)
    truth[rng.random(truth.shape) < 0.1] = 255
    return labels, truth


@given(seed=st.integers(0, 2**32 - 1), radius=st.sampled_from([1, 1.5, 2, 4]))
def test_it_is_the_definition(seed: int, radius: float) -> None:
    labels, truth = images(seed)
    assert boundary_iou(labels, truth, radius, 3) == pytest.approx(brute_force(labels, truth, radius, 3), nan_ok=True)


@given(seed=st.integers(0, 2**32 - 1))
def test_truth_and_labels_can_be_swapped_where_nothing_is_ignored(seed: int) -> None:
    labels, other = images(seed)[0], images(seed + 1)[0]
    assert boundary_iou(labels, other, 2, 3) == pytest.approx(boundary_iou(other, labels, 2, 3), nan_ok=True)


@given(seed=st.integers(0, 2**32 - 1))
def test_bands_as_wide_as_the_image_give_the_iou(seed: int) -> None:
    labels, truth = images(seed)
    confusion = ConfusionMatrix(3)
    confusion.update(labels, truth)
    counted = truth != 255
    several = len(np.unique(labels[counted])) > 1 and len(np.unique(truth[counted])) > 1
    if several:  # else one of them has no outline
        assert boundary_iou(labels, truth, 100, 3) == pytest.approx(confusion.iou().tolist(), nan_ok=True)


def test_a_large_object_hides_a_shift_from_iou_but_not_from_its_band() -> None:
    """A square of 30 pixels, moved by 1: 870 of 930 pixels are right; of bands 2 wide 168 of the 280 in either."""
    truth, labels = square(5, 5, 30), square(5, 6, 30)
    confusion = ConfusionMatrix(2)
    confusion.update(labels, truth)
    assert confusion.iou()[1] == pytest.approx(870 / 930)
    assert boundary_iou(labels, truth, 2)[1] == pytest.approx(brute_force(labels, truth, 2, 2)[1])
    assert boundary_iou(labels, truth, 2)[1] < 0.65 < confusion.iou()[1]


def test_neither_the_edge_of_the_image_nor_ignored_pixels_are_an_outline() -> None:
    truth = square(0, 0, 40)
    assert np.isnan(boundary_iou(truth, truth, 2)).all()
    truth = square(5, 5, 30)
    truth[truth == 0] = 255
    assert np.isnan(boundary_iou(square(5, 5, 30), truth, 2)).all()


def test_the_usual_band_is_2_percent_of_the_diagonal() -> None:
    """Of 30x40 pixels that is 1 pixel: one row on either side of an outline."""
    labels = np.zeros((30, 40), np.uint8)
    labels[15:] = 1
    metric = BoundaryIou(2)
    metric.update(labels, labels)
    assert metric.counts.tolist() == [[40, 40], [40, 40]]
    assert np.count_nonzero(band(labels == 1, np.ones_like(labels, bool), 3)) == 3 * 40
