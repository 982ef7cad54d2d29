from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeseg.errors import SizeError
from edgeseg.pixels.upsample import (
    labels_from_logits,
    labels_from_logits_numpy,
    labels_nearest,
    nearest_index,
    source_axis,
)

# Where the two best interpolated logits differ by less than this share of the largest logit, float rounding decides
# the label: interpolation takes six float32 roundings of 6e-8 each, and at the source positions of these tests
# (below 64) a fused multiply-add in torch moves a coordinate by up to 4e-6. 1e-5 covers both.
NEAR_TIE = 1e-5


def random_logits(seed: int, shape: tuple[int, int, int], values: int | None = None) -> NDArray[np.float32]:
    """Normal logits, or with `values` whole numbers of that many values, full of ties."""
    rng = np.random.default_rng(seed)
    drawn = rng.standard_normal(shape) if values is None else rng.integers(0, values, shape)
    return drawn.astype(np.float32)


def interpolated(logits: NDArray[np.float32], size: tuple[int, int], align_corners: bool) -> NDArray[np.float32]:
    torch = pytest.importorskip("torch")
    batch = torch.from_numpy(np.ascontiguousarray(logits))[None]
    full = torch.nn.functional.interpolate(batch, size=size, mode="bilinear", align_corners=align_corners)
    return full[0].numpy()


def weight_matrix(size_in: int, size_out: int, align_corners: bool) -> NDArray[np.float64]:
    """Bilinear interpolation along one axis as a matrix (size_out, size_in): each row sums to one."""
    lower, weight = source_axis(size_in, size_out, align_corners)
    matrix = np.zeros((size_out, size_in))
    np.add.at(matrix, (np.arange(size_out), lower), 1 - weight.astype(np.float64))
    np.add.at(matrix, (np.arange(size_out), np.minimum(lower + 1, size_in - 1)), weight)
    return matrix


def assert_same_labels(labels: NDArray[np.uint8], full: NDArray[np.floating]) -> None:
    """`labels` are the argmax of `full`, but for near ties, where the label's logit must be as good as the best."""
    chosen = np.take_along_axis(full, labels[None].astype(np.int64), axis=0)[0]
    assert (full.max(axis=0) - chosen).max() <= NEAR_TIE * np.abs(full).max()
    if full.shape[0] > 1:
        second, first = np.sort(full, axis=0)[-2:]
        clear = first - second > NEAR_TIE * np.abs(full).max()
        np.testing.assert_array_equal(labels[clear], full.argmax(axis=0)[clear])


sides = st.integers(1, 40)
cases = {
    "seed": st.integers(0, 2**32 - 1),
    "shape": st.tuples(st.integers(1, 24), sides, sides),
    "size": st.tuples(sides, st.integers(1, 60)),
    "align_corners": st.booleans(),
}


@given(**cases)
def test_equals_torch_but_for_near_ties(
    seed: int, shape: tuple[int, int, int], size: tuple[int, int], align_corners: bool
) -> None:
    logits = random_logits(seed, shape)
    labels = labels_from_logits(logits, size, align_corners=align_corners)
    assert_same_labels(labels, interpolated(logits, size, align_corners))


@given(**cases)
def test_equals_interpolation_as_a_matrix_product(
    seed: int, shape: tuple[int, int, int], size: tuple[int, int], align_corners: bool
) -> None:
    logits = random_logits(seed, shape)
    rows = weight_matrix(shape[1], size[0], align_corners)
    columns = weight_matrix(shape[2], size[1], align_corners)
    full = rows @ logits @ columns.T
    assert_same_labels(labels_from_logits(logits, size, align_corners=align_corners), full)
    assert_same_labels(labels_from_logits_numpy(logits, size, align_corners=align_corners), full)


@given(
    seed=cases["seed"],
    shape=cases["shape"],
    factors=st.tuples(st.sampled_from([1, 2, 4, 8, 32]), st.sampled_from([1, 2, 4, 8, 32])),
    align_corners=st.booleans(),
)
def test_first_class_wins_exact_ties(
    seed: int, shape: tuple[int, int, int], factors: tuple[int, int], align_corners: bool
) -> None:
    """Whole numbers and weights that are powers of two: no rounding anywhere, so not one pixel may differ."""
    logits = random_logits(seed, shape, values=3)
    size = (shape[1] * factors[0], shape[2] * factors[1])
    if align_corners:
        size = ((shape[1] - 1) * factors[0] + 1, (shape[2] - 1) * factors[1] + 1)
    labels = labels_from_logits(logits, size, align_corners=align_corners)
    np.testing.assert_array_equal(
        labels, labels_from_logits_numpy(logits, size, align_corners=align_corners), err_msg="twin"
    )
    full = interpolated(logits, size, align_corners)
    np.testing.assert_array_equal(labels, full.argmax(axis=0), err_msg="torch")


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize(
    ("classes", "size"), [(255, (37, 61)), (19, (5, 7)), (1, (9, 9)), (2, (300, 200)), (19, (40, 500))]
)
def test_any_class_count_and_ratio(classes: int, size: tuple[int, int], align_corners: bool) -> None:
    logits = random_logits(classes, (classes, 11, 13))
    labels = labels_from_logits(logits, size, align_corners=align_corners)
    assert labels.dtype == np.uint8
    assert labels.shape == size
    assert_same_labels(labels, interpolated(logits, size, align_corners))


def test_smooth_logits_at_the_size_of_a_net() -> None:
    """Blobs of a few cells, as a trained net gives them: most cells have one winner."""
    coarse = random_logits(3, (11, 8, 16))
    logits = np.ascontiguousarray(interpolated(coarse, (64, 128), False))
    labels = labels_from_logits(logits, (512, 1024))
    assert len(np.unique(labels)) == 11
    assert_same_labels(labels, interpolated(logits, (512, 1024), False))


def test_channels_last_views_and_read_only_arrays() -> None:
    stored = random_logits(5, (20, 30, 7))
    view = stored.transpose(2, 0, 1)
    expected = labels_from_logits(np.ascontiguousarray(view), (90, 110))
    np.testing.assert_array_equal(labels_from_logits(view, (90, 110)), expected)
    locked = np.ascontiguousarray(view)
    locked.flags.writeable = False
    np.testing.assert_array_equal(labels_from_logits(locked, (90, 110)), expected)
    flipped = np.ascontiguousarray(view[:, ::-1])[:, ::-1]
    np.testing.assert_array_equal(labels_from_logits(flipped, (90, 110)), expected)


def test_out_is_filled_and_returned() -> None:
    logits = random_logits(6, (4, 8, 8))
    out = np.full((32, 32), 200, np.uint8)
    assert labels_from_logits(logits, (32, 32), out=out) is out
    np.testing.assert_array_equal(out, labels_from_logits(logits, (32, 32)))


def test_nan_gives_some_class() -> None:
    logits = random_logits(7, (4, 8, 8))
    logits[:, 2:4] = np.nan
    assert labels_from_logits(logits, (64, 64)).max() < 4


def test_same_size_is_argmax() -> None:
    logits = random_logits(8, (6, 9, 10))
    for align_corners in (False, True):
        labels = labels_from_logits(logits, (9, 10), align_corners=align_corners)
        np.testing.assert_array_equal(labels, logits.argmax(axis=0))


@pytest.mark.parametrize(
    ("shape", "size", "value"),
    [
        ((1, 4, 8, 8), (16, 16), "(1, 4, 8, 8)"),
        ((256, 8, 8), (16, 16), "(256, 8, 8)"),
        ((4, 0, 8), (16, 16), "(4, 0, 8)"),
        ((4, 8, 8), (0, 16), "16x0"),
    ],
)
def test_sizes_that_cannot_be(shape: tuple[int, ...], size: tuple[int, int], value: str) -> None:
    with pytest.raises(SizeError) as caught:
        labels_from_logits(np.zeros(shape, np.float32), size)
    assert value in caught.value.message


def test_out_that_does_not_fit() -> None:
    logits = np.zeros((2, 4, 4), np.float32)
    with pytest.raises(SizeError) as caught:
        labels_from_logits(logits, (8, 8), out=np.zeros((8, 16), np.uint8)[:, ::2])
    assert "contiguous" in caught.value.message
    with pytest.raises(SizeError, match=r"\(4, 8\)"):
        labels_from_logits(logits, (8, 8), out=np.zeros((4, 8), np.uint8))


@given(size_in=st.integers(1, 5000), size_out=st.integers(1, 5000))
def test_nearest_index_is_the_pixel_that_holds_the_centre(size_in: int, size_out: int) -> None:
    index = nearest_index(size_in, size_out)
    centres = 2 * np.arange(size_out) + 1  # in units of half an output pixel
    assert np.all(index * 2 * size_out <= centres * size_in)
    assert np.all(centres * size_in < (index + 1) * 2 * size_out)
    assert index.min() >= 0
    assert index.max() < size_in


def test_labels_nearest() -> None:
    labels = np.array([[1, 2], [3, 4]], np.uint8)
    np.testing.assert_array_equal(labels_nearest(labels, (4, 4)), np.kron(labels, np.ones((2, 2), np.uint8)))
    np.testing.assert_array_equal(labels_nearest(labels_nearest(labels, (6, 10)), (2, 2)), labels)
    with pytest.raises(SizeError):
        labels_nearest(labels, (4, 0))


def test_labels_nearest_equals_cv2_at_whole_factors() -> None:
    """At odd whole factors no centre lies on a border, and cv2's rounded ratio gives the same pixels."""
    cv2 = pytest.importorskip("cv2")
    labels = np.random.default_rng(0).integers(0, 19, (12, 17)).astype(np.uint8)
    for factor in (1, 3, 5):
        size = (12 * factor, 17 * factor)
        expected = cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        np.testing.assert_array_equal(labels_nearest(labels, size), expected)
