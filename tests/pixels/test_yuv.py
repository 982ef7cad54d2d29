from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import SizeError
from edgeseg.pixels.planes import KR_KB, Matrix, Planes, half, yuv_from_rgb
from edgeseg.pixels.resize import resize_rgb
from edgeseg.pixels.yuv import FEWER, resize_planes, rgb_from_planes

matrices = st.sampled_from(sorted(KR_KB))


def noise(seed: int, size: tuple[int, int], matrix: Matrix, full_range: bool, nv12: bool, gap: int = 0) -> Planes:
    """Planes of any value. gap: bytes between rows, as in the decoder's memory."""
    rng = np.random.default_rng(seed)
    low = (half(size[0]), half(size[1]))
    y, u, v = (rng.integers(0, 256, (h, w + gap), dtype=np.uint8)[:, :w] for h, w in (size, low, low))
    arrays = (y, np.stack([u, v], -1)) if nv12 else (y, u, v)
    return Planes("NV12" if nv12 else "I420", arrays, matrix, full_range)


def by_definition(planes: Planes) -> np.ndarray:
    """The definition in ITU-R BT.601, 709 and 2020, in floats, each chroma sample repeated over its square."""
    kr, kb = KR_KB[planes.matrix]
    y, u, v = (plane.astype(float) for plane in planes.i420().arrays)
    luma, chroma = (y / 255, 255) if planes.full_range else ((y - 16) / 219, 224)
    u, v = (plane.repeat(2, 0).repeat(2, 1)[: y.shape[0], : y.shape[1]] for plane in (u, v))
    red, blue = luma + 2 * (1 - kr) * (v - 128) / chroma, luma + 2 * (1 - kb) * (u - 128) / chroma
    green = (luma - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(255 * np.stack([red, green, blue], -1), 0, 255)


planes_of = st.builds(
    noise,
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    matrices,
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 5]),
)


@given(planes=planes_of)
def test_rgb_is_that_of_the_standards(planes: Planes) -> None:
    rgb = rgb_from_planes(planes)
    assert (rgb.dtype, rgb.shape) == (np.uint8, (*planes.size, 3))
    # Half a step is rounding; the rest is what six factors of 20 bits add up to over 255 steps.
    assert np.abs(rgb - by_definition(planes)).max() <= 0.5 + 1e-3


@given(planes=planes_of, divisors=st.tuples(st.integers(1, 70), st.integers(1, 70)), more=st.integers(0, 1))
def test_a_resized_image_is_that_of_its_rgb_to_the_bit(planes: Planes, divisors: Any, more: int) -> None:
    size = (max(1, planes.size[0] // divisors[0]) + more, max(1, planes.size[1] // divisors[1]))
    np.testing.assert_array_equal(resize_planes(planes, size), resize_rgb(rgb_from_planes(planes), size))


@pytest.mark.parametrize("size", [(256, 512), (360, 640), (61, 1919)])
def test_a_resized_1080p_image_is_that_of_its_rgb_to_the_bit(size: tuple[int, int]) -> None:
    planes = noise(0, (1080, 1920), "bt709", False, nv12=False)
    assert FEWER * size[0] * size[1] <= 1080 * 1920
    np.testing.assert_array_equal(resize_planes(planes, size), resize_rgb(rgb_from_planes(planes), size))


@pytest.mark.parametrize(("matrix", "colorspace"), [("bt601", 5), ("bt709", 1), ("bt2020", 9)])
@pytest.mark.parametrize("full_range", [False, True])
def test_rgb_is_within_three_steps_of_ffmpegs(matrix: Matrix, colorspace: int, full_range: bool) -> None:
    """FFmpeg has 13 bits where this has 20, and rounds down at several places."""
    planes = noise(1, (96, 128), matrix, full_range, nv12=False)
    i420 = np.concatenate([plane.ravel() for plane in planes.arrays]).reshape(144, 128)
    image = av.VideoFrame.from_ndarray(i420, "yuv420p")
    image.colorspace, image.color_range = colorspace, 2 if full_range else 1
    theirs = image.reformat(format="rgb24").to_ndarray().astype(int)
    assert np.abs(rgb_from_planes(planes) - theirs).max() <= 3


@given(matrix=matrices, full_range=st.booleans(), seed=st.integers(0, 2**32 - 1))
def test_colours_come_back_from_yuv(matrix: Matrix, full_range: bool, seed: int) -> None:
    colors = np.random.default_rng(seed).integers(0, 256, (19, 3), dtype=np.uint8)
    y, u, v = np.rint(yuv_from_rgb(colors, matrix, full_range)).astype(np.uint8)[None].transpose(2, 0, 1)
    planes = Planes("I420", (y.repeat(2, 1), u, v), matrix, full_range)
    # Half a step of luma, times 1.17, half a step of chroma, times at most 2.15 (blue, BT.2020), and half a step.
    assert np.abs(rgb_from_planes(planes)[0, ::2].astype(int) - colors).max() <= 2


def test_a_size_without_pixels_is_refused() -> None:
    with pytest.raises(SizeError):
        resize_planes(noise(0, (8, 8), "bt601", False, nv12=False), (0, 4))
