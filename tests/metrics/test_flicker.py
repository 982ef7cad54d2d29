"""Flicker by hand, and which frames of a data set are neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import SizeError
from edgeseg.evaluation import neighbours
from edgeseg.metrics.flicker import Flicker


def flicker(labels: list[list[int]], truth: list[list[int]]) -> tuple[float, list[float]]:
    """Of two frames of one row each."""
    metric = Flicker(3)
    metric.update(np.array(labels, np.uint8)[:, None], np.array(truth, np.uint8)[:, None])
    result = metric.result()
    return result.overall["flicker"], result.by_class["class_flicker"].tolist()


def test_a_change_counts_where_the_truth_stays() -> None:
    """Six pixels: one changes rightly with the truth, one wrongly without it, one is ignored; one is always wrong."""
    total, classes = flicker([[0, 0, 1, 2, 2, 0], [1, 1, 1, 2, 0, 0]], [[0, 0, 1, 1, 255, 2], [1, 0, 1, 1, 255, 2]])
    assert total == 1 / 4
    assert classes == [1.0, 0.0, 0.0]


def test_constant_labels_do_not_flicker_however_wrong() -> None:
    assert flicker([[1, 1, 1], [1, 1, 1]], [[0, 1, 2], [2, 1, 0]])[0] == 0.0


def test_where_all_truth_moves_or_is_unknown_there_is_no_figure() -> None:
    assert np.isnan(flicker([[0, 1], [1, 0]], [[0, 255], [1, 1]])[0])


@given(st.integers(0, 2**32 - 1))
def test_time_can_run_backwards(seed: int) -> None:
    labels, truth = np.random.default_rng(seed).integers(0, 3, (2, 2, 5, 6)).astype(np.uint8)
    forth, back = Flicker(3), Flicker(3)
    forth.update(labels, truth)
    back.update(labels[::-1], truth[::-1])
    np.testing.assert_array_equal(forth.counts, back.counts)


def test_single_frames_are_refused() -> None:
    with pytest.raises(SizeError) as refused:
        Flicker(3).update(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8))
    assert refused.value.code == "ES-SIZE"


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0001TP_006690", "0001TP_006720", "0001TP_006750"], {0, 1}),
        (["a_1", "a_2", "a_4", "a_5", "b_6"], {0, 2}),  # a gap, and another sequence
        (["3-00000", "3-00025", "4-00000", "4-00025"], {0, 2}),
        (["street", "yard"], set()),
        (["a_2", "a_1"], set()),
        ([], set()),
    ],
)
def test_neighbours_follow_each_other_in_one_sequence(names: list[str], expected: set[int]) -> None:
    assert neighbours(names) == expected
