"""Copy-paste of rare classes between the crops of a batch."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from edgeseg.train.losses.class_weights import counts_from_labels
from edgeseg.train.paste import paste_rare, rare_classes

RARE = np.array([2, 5], np.uint8)


def pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random labels, some of them ignored, and an image that is 20 times its label, plus the seed."""
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 2, 5, 255], np.uint8), (6, 8))
    return np.repeat(20 * (labels % 12)[..., None] + np.uint8(seed), 3, axis=2), labels


def test_rare_classes_occur_and_have_less_than_half_of_the_median() -> None:
    labels = np.repeat(np.array([0, 1, 2, 3, 4], np.uint8), [50, 40, 20, 9, 11])  # class 5 does not occur
    assert rare_classes(counts_from_labels([labels], 6)).tolist() == [3]


def test_each_crop_gets_the_rare_pixels_of_the_next_one() -> None:
    pairs = [pair(seed) for seed in range(3)]
    mixed = paste_rare(pairs, RARE, 1.0, np.random.default_rng(0))
    for (rgb, labels), own, other in zip(mixed, pairs, [*pairs[1:], pairs[0]]):
        rare = np.isin(other[1], RARE)
        assert 0 < rare.sum() < rare.size
        assert np.array_equal(labels, np.where(rare, other[1], own[1]))
        assert np.array_equal(rgb, np.where(rare[..., None], other[0], own[0]))
        assert (rgb.dtype, labels.dtype) == (np.uint8, np.uint8)


def test_the_probability_is_that_of_a_crop() -> None:
    pairs = [pair(seed) for seed in range(2)]
    rng = np.random.default_rng(0)
    changed = [not np.array_equal(paste_rare(pairs, RARE, 0.3, rng)[0][1], pairs[0][1]) for _ in range(100)]
    assert 15 <= sum(changed) <= 45  # 30 on average; 15 are three deviations
