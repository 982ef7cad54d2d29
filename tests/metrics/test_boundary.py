"""The boundary F-score by hand, and against a count over all pairs of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.metrics.boundary import BoundaryF, boundary_pixels, near


def halves(column: int) -> np.ndarray:
    """(8, 20): class 0 left of `column`, class 1 from there on."""
    return np.repeat((np.arange(20) >= column)[None], 8, axis=0).astype(np.uint8)


def f_score(labels: np.ndarray, truth: np.ndarray, radius: float) -> list[float]:
    metric = BoundaryF(2, radius=radius)
    metric.update(labels, truth)
    return metric.result().by_class["boundary_f"].tolist()


def test_an_outline_that_is_moved_counts_within_the_radius_alone() -> None:
    assert f_score(halves(12), halves(10), radius=2) == [1.0, 1.0]
    assert f_score(halves(12), halves(10), radius=1.9) == [0.0, 0.0]


def test_a_spurious_outline_costs_precision_alone() -> None:
    """The prediction of class 1 has two more outlines, beside a hole far from the true one: P = 1/3, R = 1."""
    labels = halves(10)
    labels[:, 15:17] = 0
    assert f_score(labels, halves(10), radius=1) == [pytest.approx(0.5), pytest.approx(0.5)]


def test_the_edge_of_the_image_and_ignored_pixels_make_no_boundary() -> None:
    truth = halves(10)
    truth[:, 8:10] = 255
    assert not boundary_pixels(truth, truth != 255).any()
    assert np.isnan(f_score(halves(10), truth, radius=1)).all()


def test_the_usual_distance_grows_with_the_image() -> None:
    """0.75% of the diagonal of 400x300 is 3.75 pixels."""
    truth = np.repeat((np.arange(400) >= 200)[None], 300, axis=0).astype(np.uint8)
    for moved, expected in ((3, 1.0), (4, 0.0)):
        metric = BoundaryF(2)
        metric.update(np.roll(truth, moved, axis=1)[:, 10:-10], truth[:, 10:-10])
        assert metric.result().overall["mean_boundary_f"] == expected


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), radius=st.sampled_from([0, 1, 1.5, 2, 3, 5]))
def test_near_is_the_euclidean_distance(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    boundary = rng.random((9, 13)) < 0.05
    boundary[rng.integers(9), rng.integers(13)] = True
    own, others = np.argwhere(np.ones_like(boundary)), np.argwhere(boundary)
    squares = ((own[:, None] - others[None]) ** 2).sum(-1).min(1).reshape(boundary.shape)
    np.testing.assert_array_equal(near(boundary, radius), squares <= radius**2)


def test_far_away_it_is_still_exact() -> None:
    boundary = np.zeros((600, 1100), np.bool_)
    boundary[3, 5] = True
    rows, columns = np.indices(boundary.shape)
    squares = (rows - 3) ** 2 + (columns - 5) ** 2
    for radius in (30, 400, 1000):
        np.testing.assert_array_equal(near(boundary, radius), squares <= radius**2)
