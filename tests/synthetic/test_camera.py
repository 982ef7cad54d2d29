from __future__ import annotations

import hashlib
import itertools
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeseg.errors import SizeError
from edgeseg.synthetic.camera import STREET_LABELS, StreetCamera

Bytes = npt.NDArray[np.uint8]
CLASSES = len(STREET_LABELS)
COLOURS = 16**3
CAR, PEDESTRIAN, BICYCLIST = 8, 9, 10


def small(seed: int = 0, width: int = 256, height: int = 128) -> StreetCamera:
    return StreetCamera(seed, width, height)


def test_labels_are_camvids() -> None:
    assert STREET_LABELS == (
        "Sky", "Building", "Pole", "Road", "Pavement", "Tree",
        "SignSymbol", "Fence", "Car", "Pedestrian", "Bicyclist",
    )  # fmt: skip


def test_a_frame_is_the_same_in_any_order() -> None:
    forward = [small(3).render(n) for n in range(4)]
    backward = [small(3).render(n) for n in reversed(range(4))]
    for (rgb, labels), (again, labels_again) in zip(forward, reversed(backward), strict=True):
        np.testing.assert_array_equal(rgb, again)
        np.testing.assert_array_equal(labels, labels_again)


def test_seeds_and_indices_differ() -> None:
    frames = [small(seed).render(n) for seed in range(4) for n in (0, 1, 50)]
    assert len({hashlib.sha256(rgb.tobytes()).digest() for rgb, _ in frames}) == len(frames)
    assert len({hashlib.sha256(labels.tobytes()).digest() for _, labels in frames}) == len(frames)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(-5, 2**40), index=st.integers(0, 10**6),
    width=st.integers(32, 300), height=st.integers(32, 300),
)  # fmt: skip
def test_any_size_is_labelled_throughout(seed: int, index: int, width: int, height: int) -> None:
    rgb, labels = StreetCamera(seed, width, height).render(index)
    assert rgb.shape == (height, width, 3) and rgb.dtype == np.uint8
    assert labels.shape == (height, width) and labels.dtype == np.uint8
    assert labels.max() < CLASSES


def test_a_frame_is_the_callers_own() -> None:
    camera = small()
    rgb, labels = camera.render(0)
    kept = rgb.copy(), labels.copy()
    camera.render(1)
    np.testing.assert_array_equal(rgb, kept[0])
    np.testing.assert_array_equal(labels, kept[1])


def test_time_is_index_over_fps() -> None:
    slow, fast = small(5), StreetCamera(5, 256, 128, Fraction(50))
    np.testing.assert_array_equal(slow.render(30)[1], fast.render(60)[1])


def test_classes_keep_their_shares() -> None:
    shares = np.mean([np.bincount(small(s).render(90)[1].ravel(), minlength=CLASSES) for s in range(40)], axis=0)
    shares /= shares.sum()
    assert shares.min() > 0.01  # no class is a sliver that would dominate mIoU by chance
    assert shares.max() < 0.4


def test_the_camera_and_the_traffic_move() -> None:
    for seed in range(3):
        then, now = small(seed).render(0)[1], small(seed).render(25)[1]
        for label in (CAR, PEDESTRIAN, BICYCLIST):
            both = ((then == label) & (now == label)).sum()
            either = ((then == label) | (now == label)).sum()
            assert either > 0
            assert both / either < 0.95  # a second later a moving class is not where it was


def test_consecutive_frames_agree() -> None:
    for seed in range(4):
        frames = [small(seed).render(n)[1] for n in range(40, 46)]
        agreement = [float((a == b).mean()) for a, b in itertools.pairwise(frames)]
        assert min(agreement) > 0.9
        assert min(agreement) < 1.0


def test_sky_is_above_road() -> None:
    for seed in range(6):
        labels = small(seed).render(10)[1]
        rows = np.arange(labels.shape[0])[:, None] * np.ones_like(labels, np.float64)
        assert rows[labels == 0].mean() < rows[labels == 3].mean()


def colour_counts(seeds: range) -> npt.NDArray[np.float64]:
    """(classes, colours): how often each class has each of 16 x 16 x 16 colours."""
    counts = np.zeros(CLASSES * COLOURS)
    for seed in seeds:
        rgb, labels = small(seed).render(37 + 11 * seed)
        red, green, blue = (rgb[..., c].astype(np.int64) >> 4 for c in range(3))
        counts += np.bincount(
            (labels * np.int64(COLOURS) + (red << 8) + (green << 4) + blue).ravel(), minlength=CLASSES * COLOURS
        )
    return counts.reshape(CLASSES, COLOURS)


@pytest.mark.parametrize("balanced", [True, False])
def test_colour_alone_does_not_tell_the_class(balanced: bool) -> None:
    learnt, unseen = colour_counts(range(100, 180)), colour_counts(range(40))
    score = learnt / learnt.sum(axis=1, keepdims=True) if balanced else learnt
    guess = score.argmax(axis=0)
    confusion = np.stack([unseen[:, guess == label].sum(axis=1) for label in range(CLASSES)], axis=1)
    hits = np.diag(confusion)
    miou = float(np.mean(hits / (confusion.sum(axis=0) + confusion.sum(axis=1) - hits)))
    assert 0.05 < miou < 0.40


@pytest.mark.parametrize("size", [(31, 64), (64, 31), (0, 0), (-64, 64)])
def test_a_small_size_is_refused(size: tuple[int, int]) -> None:
    with pytest.raises(SizeError, match=f"{size[0]}x{size[1]}.*32x32"):
        StreetCamera(0, *size)


def test_a_still_camera_is_refused() -> None:
    with pytest.raises(SizeError, match="fps"):
        StreetCamera(fps=0)
