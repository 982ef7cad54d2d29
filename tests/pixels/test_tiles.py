"""Tiles: every pixel is covered, weights sum to 1, and the stitched labels are those of the stitched logits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import SizeError
from edgeseg.pixels.tiles import Tiling, strides, tile_axis
from edgeseg.pixels.upsample import labels_from_logits, labels_from_logits_numpy, labels_of_band, source_axis


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int, int | None, str]:
    """Arguments of `tile_axis` that it accepts."""
    stride = draw(st.sampled_from([1, 2, 3, 4, 8, 16, 32]))
    cells = draw(st.integers(1, 40))
    size = stride * cells
    _, unit = strides(size, cells)
    overlap = draw(st.one_of(st.none(), st.integers(0, size - unit)))
    if overlap is None and size // 4 > size - unit:
        overlap = 0
    return draw(st.integers(1, 4000)), size, cells, overlap, draw(st.sampled_from(["hann", "centre"]))


@given(axes())
def test_every_pixel_is_covered_and_the_weights_sum_to_one(arguments: tuple[int, int, int, int | None, str]) -> None:
    length, size, cells, overlap, _ = arguments
    axis = tile_axis(*arguments)
    stride, unit = strides(size, cells)
    total = np.zeros(axis.cells)
    for tile in axis.tiles:
        total[tile.first : tile.end] += tile.weights
        assert tile.start % unit == 0
        assert 0 <= tile.inside.start < tile.inside.stop <= cells
        assert tile.first == tile.start // stride + tile.skipped
    np.testing.assert_allclose(total, 1, atol=1e-6)  # of float32
    assert length <= axis.length == axis.cells * stride
    assert axis.length - length < unit or axis.length == size
    assert axis.tiles[-1].start + size == axis.length
    wanted = size // 4 if overlap is None else overlap
    assert all(before.start + size - after.start >= wanted for before, after in itertools.pairwise(axis.tiles))


@given(axes())
def test_cells_near_an_edge_inside_the_frame_have_no_weight(arguments: tuple[int, int, int, int | None, str]) -> None:
    _, size, cells, overlap, stitch = arguments
    axis, stride = tile_axis(*arguments), size // cells
    wanted = size // 4 if overlap is None else overlap
    margin = wanted / (4 if stitch == "hann" else 2) - 1e-6
    for before, after in itertools.pairwise(axis.tiles):
        last_centre = (before.end - 0.5) * stride
        assert before.start + size - last_centre >= margin
        assert (after.first + 0.5) * stride - after.start >= margin


def test_labels_of_bands_are_those_of_the_whole() -> None:
    logits = np.random.default_rng(0).normal(size=(7, 12, 9)).astype(np.float32)
    for size, align_corners in (((96, 72), False), ((100, 50), True), ((7, 5), False)):
        whole = labels_from_logits(logits, size, align_corners=align_corners)
        assert (whole == labels_from_logits_numpy(logits, size, align_corners=align_corners)).mean() > 0.999
        for first, end in ((0, 4), (4, 9), (8, 12)):
            lower, _ = source_axis(12, size[0], align_corners)
            rows = np.flatnonzero((lower >= first) & (np.minimum(lower + 1, 11) < end))
            low, high = int(rows[0]), int(rows[-1]) + 1
            part = np.empty((high - low, size[1] - 2), np.uint8)
            labels_of_band(
                logits[:, first:end], part, size, height=12, first=first, start=low, align_corners=align_corners
            )
            assert np.array_equal(part, whole[low:high, :-2])


@pytest.mark.parametrize("stitch", ["hann", "centre"])
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(97, 131), (33, 200), (96, 64), (20, 90), (150, 30)])
def test_stitched_labels_are_those_of_the_whole_logits(stitch: str, align_corners: bool, size: tuple[int, int]) -> None:
    """The network here takes the logits of a pixel from its own colour: it computes the same in every tile."""
    rgb = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)

    def logits_of(tile: np.ndarray) -> np.ndarray:
        return tile[3::8, 5::8].transpose(2, 0, 1).astype(np.float32)

    tiling = Tiling((32, 64), (4, 8), 8, stitch, fill=(9, 8, 7), batch=3, align_corners=align_corners)
    vertical, horizontal = tiling.axes(size)
    padded = np.full((vertical.length, horizontal.length, 3), (9, 8, 7), np.uint8)
    padded[: size[0], : size[1]] = rgb
    expected = labels_from_logits(logits_of(padded), padded.shape[:2], align_corners=align_corners)
    counts: list[int] = []

    def infer(tiles: list[np.ndarray]) -> np.ndarray:
        counts.append(len(tiles))
        return np.stack([logits_of(tile) for tile in tiles])

    labels = tiling.labels(rgb, infer)
    assert labels.shape == size
    # blended logits differ by rounding: a tie may fall to another class
    assert (labels == expected[: size[0], : size[1]]).mean() >= (1 if stitch == "centre" else 0.999)
    assert sum(counts) == tiling.count(size)
    assert max(counts) <= 3


def test_a_mask_is_stitched_and_brought_to_the_size_of_the_frame() -> None:
    labels = np.random.default_rng(2).integers(0, 9, (50, 70), dtype=np.uint8)
    rgb = labels.repeat(2, 0).repeat(2, 1)[:99, :139, None].repeat(3, 2)
    tiling = Tiling((32, 64), (16, 32), None, "centre", fill=(0, 0, 0), is_mask=True)
    stitched = tiling.labels(rgb, lambda tiles: np.stack([tile[::2, ::2, 0] for tile in tiles]))
    assert np.array_equal(stitched, rgb[:, :, 0])


@pytest.mark.parametrize(("size", "cells", "overlap"), [(64, 8, 64), (64, 8, 57), (64, 7, None), (64, 8, 100)])
def test_tiles_that_cannot_be_placed_are_refused(size: int, cells: int, overlap: int | None) -> None:
    with pytest.raises(SizeError) as caught:
        tile_axis(1000, size, cells, overlap, "hann")
    assert caught.value.code == "ES-SIZE-TILES"
    assert caught.value.hint
