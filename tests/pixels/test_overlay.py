from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import DataError, SizeError
from edgeseg.labels import default_palette
from edgeseg.pixels.overlay import overlay_labels, overlay_labels_numpy

sides = st.integers(1, 50)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(sides, sides),
    label_size=st.tuples(sides, sides),
    colors=st.integers(0, 256),
    opacity=st.floats(0, 1),
)
def test_equals_the_twin_to_the_bit(
    seed: int, size: tuple[int, int], label_size: tuple[int, int], colors: int, opacity: float
) -> None:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    labels = rng.integers(0, 256, label_size, dtype=np.uint8)
    palette = rng.integers(0, 256, (colors, 3), dtype=np.uint8)
    blended = overlay_labels(rgb, labels, palette, opacity=opacity)
    np.testing.assert_array_equal(blended, overlay_labels_numpy(rgb, labels, palette, opacity=opacity))


def test_blends_to_the_nearest_integer() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
    labels = rng.integers(0, 19, (40, 60), dtype=np.uint8)
    palette = default_palette(19)
    for opacity in (0.25, 0.5, 0.75):  # whole numbers of 1/256: the only rounding is the last
        wanted = (1 - opacity) * rgb + opacity * palette[labels]
        assert np.abs(overlay_labels(rgb, labels, palette, opacity=opacity) - wanted).max() <= 0.5


def test_ignored_and_unknown_ids_leave_the_pixel() -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    for palette, label in ((default_palette(256), 255), (default_palette(5), 5), (default_palette(0), 0)):
        labels = np.full((4, 4), label, np.uint8)
        np.testing.assert_array_equal(overlay_labels(rgb, labels, palette, opacity=1.0), rgb)


def test_opacity_from_nothing_to_colours_alone() -> None:
    rgb = np.random.default_rng(2).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    palette = default_palette(6)
    np.testing.assert_array_equal(overlay_labels(rgb, labels, palette, opacity=0.0), rgb)
    colors = palette[labels.repeat(3, axis=0).repeat(3, axis=1)]
    np.testing.assert_array_equal(overlay_labels(rgb, labels, palette, opacity=1.0), colors)


def test_out_in_place_and_strided_input() -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    labels = np.random.default_rng(4).integers(0, 9, (10, 15), dtype=np.uint8)
    palette = default_palette(9)
    expected = overlay_labels(rgb, labels, palette)
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    np.testing.assert_array_equal(overlay_labels(bgr[..., ::-1], labels, palette), expected)
    frame = rgb.copy()
    assert overlay_labels(frame, labels, palette, out=frame) is frame
    np.testing.assert_array_equal(frame, expected)


def test_errors() -> None:
    rgb, labels = np.zeros((4, 4, 3), np.uint8), np.zeros((2, 2), np.uint8)
    with pytest.raises(DataError) as caught:
        overlay_labels(rgb, labels, default_palette(2), opacity=1.5)
    assert "1.5" in caught.value.message
    with pytest.raises(DataError, match=r"int64 \(2, 3\)"):
        overlay_labels(rgb, labels, np.zeros((2, 3), np.int64))  # type: ignore[arg-type]
    with pytest.raises(SizeError, match=r"\(2, 2, 3\)"):
        overlay_labels(rgb, labels, default_palette(2), out=np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(SizeError, match=r"rgb"):
        overlay_labels(rgb[..., 0], labels, default_palette(2))
