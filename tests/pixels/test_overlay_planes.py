from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import DataError, SizeError
from edgeseg.pixels.overlay import overlay_labels
from edgeseg.pixels.overlay_planes import overlay_planes
from edgeseg.pixels.planes import KR_KB, Matrix, Planes, half, yuv_from_rgb
from edgeseg.pixels.upsample import labels_nearest
from edgeseg.pixels.yuv import rgb_from_planes

sides = st.integers(1, 50)


def planes_of_colors(seed: int, size: tuple[int, int], matrix: Matrix, full_range: bool, nv12: bool = False) -> Planes:
    """Planes of squares of 2x2 pixels, each of a colour that RGB has."""
    colors = np.random.default_rng(seed).integers(0, 256, (half(size[0]), half(size[1]), 3), dtype=np.uint8)
    y, u, v = np.rint(np.moveaxis(yuv_from_rgb(colors, matrix, full_range), -1, 0)).astype(np.uint8)
    y = y.repeat(2, 0).repeat(2, 1)[: size[0], : size[1]]
    return Planes("NV12" if nv12 else "I420", (y, np.stack([u, v], -1)) if nv12 else (y, u, v), matrix, full_range)


@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(sides, sides),
    label_size=st.tuples(sides, sides),
    colors=st.integers(0, 256),
    opacity=st.floats(0, 1),
    matrix=st.sampled_from(sorted(KR_KB)),
    full_range=st.booleans(),
    nv12=st.booleans(),
)
def test_equals_the_overlay_of_the_rgb_but_for_rounding(
    seed: int, size: tuple[int, int], label_size: tuple[int, int], colors: int, opacity: float,
    matrix: Matrix, full_range: bool, nv12: bool,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    planes = planes_of_colors(seed, size, matrix, full_range, nv12)
    labels = rng.integers(0, 256, label_size, dtype=np.uint8)
    palette = rng.integers(0, 256, (colors, 3), dtype=np.uint8)
    blended = overlay_planes(planes, labels, palette, opacity=opacity)
    wanted = yuv_from_rgb(overlay_labels(rgb_from_planes(planes), labels, palette, opacity=opacity), matrix, full_range)
    # Two roundings of RGB and one of YUV by half a step, and at the edge of RGB what the first one cut off.
    assert np.abs(blended.arrays[0] - wanted[..., 0]).max() <= 2
    for n in (1, 2):
        assert np.abs(blended.arrays[n] - wanted[::2, ::2, n]).max() <= 2


@given(seed=st.integers(0, 2**32 - 1), size=st.tuples(sides, sides), opacity=st.sampled_from([0.0, 0.3, 1.0]))
def test_labels_without_a_colour_change_nothing(seed: int, size: tuple[int, int], opacity: float) -> None:
    rng = np.random.default_rng(seed)
    planes = planes_of_colors(seed, size, "bt709", False)
    labels = rng.choice([0, 1, 2, 255], (7, 9)).astype(np.uint8)
    blended = overlay_planes(planes, labels, rng.integers(0, 256, (2, 3), dtype=np.uint8), opacity=opacity)
    full = labels_nearest(labels, size)
    for before, after, each in zip(planes.arrays, blended.arrays, (full, full[::2, ::2], full[::2, ::2])):
        colorless = each >= 2
        np.testing.assert_array_equal(after[colorless], before[colorless])
        if opacity == 0:
            np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("color", [(0, 0, 255), (255, 0, 0)])
def test_opaque_pure_colours_do_not_wrap_in_full_range(color: tuple[int, int, int]) -> None:
    planes = planes_of_colors(0, (6, 10), "bt709", True)
    blended = overlay_planes(planes, np.zeros((6, 10), np.uint8), np.array([color], np.uint8), opacity=1.0)
    assert max(plane.max() for plane in blended.arrays) == 255


def test_the_planes_lie_in_one_piece_of_memory() -> None:
    planes = planes_of_colors(0, (6, 10), "bt601", True)
    blended = overlay_planes(planes, np.zeros((6, 10), np.uint8), np.full((1, 3), 200, np.uint8))
    assert blended.memory is not None
    np.testing.assert_array_equal(blended.memory, np.concatenate([plane.ravel() for plane in blended.arrays]))
    assert (blended.layout, blended.matrix, blended.full_range) == ("I420", "bt601", True)


def test_errors() -> None:
    planes = planes_of_colors(0, (6, 10), "bt601", True)
    palette, labels = np.zeros((2, 3), np.uint8), np.zeros((6, 10), np.uint8)
    with pytest.raises(SizeError):
        overlay_planes(planes, labels[None], palette)
    with pytest.raises(SizeError):
        overlay_planes(planes, labels[:0], palette)
    with pytest.raises(DataError):
        overlay_planes(planes, labels, palette, opacity=1.5)
    with pytest.raises(DataError):
        overlay_planes(planes, labels, palette[:, :2])
