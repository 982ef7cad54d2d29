"""Flicker without truth: what moves does not count, and what changes its label on the way does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edgeseg.errors import SizeError
from edgeseg.metrics.motion import TrackedFlicker, size_at

HEIGHT, WIDTH = 96, 160


@pytest.fixture(scope="module")
def scene() -> tuple[np.ndarray, np.ndarray]:
    """A textured image wider than a frame, and its labels: three stripes."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (HEIGHT // 4, WIDTH // 2, 3), dtype=np.uint8)
    rgb = cv2.resize(noise, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    labels = np.zeros((HEIGHT, 2 * WIDTH), np.uint8)
    labels[:, 60:] = 1
    labels[:, 110:] = 2
    return rgb, labels


def pan(scene: tuple[np.ndarray, np.ndarray], count: int, step: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Frames of a camera that turns by `step` pixels a frame."""
    rgb, labels = scene
    views = [np.s_[:, step * number : step * number + WIDTH] for number in range(count)]
    return [(np.ascontiguousarray(rgb[view]), np.ascontiguousarray(labels[view])) for view in views]


def figures(frames: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    flicker = TrackedFlicker()
    for rgb, labels in frames:
        flicker.update(rgb, labels)
    return {key: value for key, value in flicker.to_dict().items() if value is not None}


def test_labels_that_move_with_the_scene_do_not_flicker(scene: tuple[np.ndarray, np.ndarray]) -> None:
    found = figures(pan(scene, 4, 5))
    assert found["pairs"] == 3
    assert found["label_changes"] > 0.03  # 5 columns at each of two outlines
    assert found["flicker"] < 0.005  # half a pixel at the outlines
    assert found["tracked"] > 0.9


def test_labels_that_change_on_a_moving_scene_do(scene: tuple[np.ndarray, np.ndarray]) -> None:
    rng = np.random.default_rng(1)
    frames = [(rgb, np.where(rng.random(labels.shape) < 0.1, 3, labels)) for rgb, labels in pan(scene, 3, 5)]
    expected = 2 * 0.1 * 0.9  # a pixel changes where it is noise in one frame alone
    assert figures(frames)["flicker"] == pytest.approx(expected, abs=0.02)


def test_what_the_flow_does_not_believe_does_not_count(scene: tuple[np.ndarray, np.ndarray]) -> None:
    """A cut: another scene, and all labels another."""
    (rgb, labels), *_ = pan(scene, 1, 0)
    other = np.random.default_rng(2).integers(0, 256, rgb.shape, dtype=np.uint8)
    found = figures([(rgb, labels), (other, labels + 3)])
    assert found["label_changes"] == 1.0
    assert found["tracked"] < 0.6


def test_one_frame_has_no_figure(scene: tuple[np.ndarray, np.ndarray]) -> None:
    assert figures(pan(scene, 1, 0)) == {"pairs": 0}


def test_a_size_that_changes_begins_anew_and_labels_must_fit(scene: tuple[np.ndarray, np.ndarray]) -> None:
    (rgb, labels), *_ = pan(scene, 1, 0)
    assert figures([(rgb, labels), (rgb[:50], labels[:50]), (rgb[:50], labels[:50])])["pairs"] == 1
    with pytest.raises(SizeError):
        TrackedFlicker().update(rgb, labels[:50])


def test_large_frames_are_compared_at_a_smaller_size() -> None:
    assert [size_at(shape, 512) for shape in ((1080, 1920), (100, 200), (2000, 1))] == [
        (512, 288),
        (200, 100),
        (1, 512),
    ]
