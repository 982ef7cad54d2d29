"""A frame that is larger than the network's input: cut into overlapping tiles, whose outputs become one label map.

Positions along an axis are pixels of the frame; cells are positions of the network's output, `stride` pixels wide. All
tiles begin at multiples of a unit, so that the cells of all tiles lie on one grid, and a convolutional network computes
in a tile what it computes in the whole frame, except near those edges of the tile that lie inside the frame. The cells
there have no weight. Between two neighbours the weight of one tile falls to 0 where that of the other rises to 1:

    "centre"   at once, in the middle of their overlap: each cell is that of the tile whose centre is nearest
    "hann"     as a raised cosine, over the middle half of the overlap that was asked for

Memory is that of one row of tiles: labels are made as soon as no later tile can change them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import SizeError
from edgeseg.pixels.upsample import complete_rows, labels_nearest, labels_of_band

Rgb = NDArray[np.uint8]
CODE = "ES-SIZE-TILES"
DEEPEST_STRIDE = 32  # of networks that do not pool globally, which no tile computes as the whole frame


@dataclass(frozen=True)
class Tile:
    """A tile along one axis.

    start: its first pixel. first: its first cell with a weight, counted from the frame's edge. skipped: how many of its
    cells come before that. weights: of its other cells, above 0.
    """

    start: int
    first: int
    skipped: int
    weights: NDArray[np.float32]

    @property
    def end(self) -> int:
        """The cell after the last one with a weight."""
        return self.first + len(self.weights)

    @property
    def inside(self) -> slice:
        """The cells with a weight, in the tile's own output."""
        return slice(self.skipped, self.skipped + len(self.weights))


@dataclass(frozen=True)
class Axis:
    """All tiles along one axis. length: pixels that they cover. cells: of their outputs together."""

    length: int
    cells: int
    tiles: tuple[Tile, ...]


@functools.lru_cache(maxsize=64)
def tile_axis(length: int, size: int, cells: int, overlap: int | None, stitch: str) -> Axis:
    """The tiles of `size` pixels along an axis of `length` pixels; they may reach beyond its end.

    cells: of the output of one tile. overlap: at least that many pixels, brought up to a multiple of the unit; None for
    a quarter of the tile. The weights of each cell sum to 1. SizeError where the tiles cannot be placed.
    """
    stride, unit = strides(size, cells)
    shared = shared_pixels(size, cells, overlap)
    covered = max(size, -(-length // unit) * unit)
    count = -(-(covered - size) // (size - shared)) + 1
    starts = [min(index * (size - shared), covered - size) for index in range(count)]
    cuts = [(before + size + after) / 2 for before, after in itertools.pairwise(starts)]
    centres = (np.arange(covered // stride) + 0.5) * float(stride)
    ramp = shared / 2 if stitch == "hann" else 0.0
    risen = [np.ones(len(centres)), *(rise(centres - cut, ramp) for cut in cuts), np.zeros(len(centres))]
    tiles = []
    for start, (before, after) in zip(starts, itertools.pairwise(risen)):
        weights = before - after
        inside = np.flatnonzero(weights > 0)
        first = int(inside[0])
        tiles.append(Tile(start, first, first - start // stride, weights[first : inside[-1] + 1].astype(np.float32)))
    return Axis(covered, covered // stride, tuple(tiles))


def shared_pixels(size: int, cells: int, overlap: int | None) -> int:
    """The pixels that neighbouring tiles share at least: `overlap`, or a quarter, as a multiple of the unit."""
    _, unit = strides(size, cells)
    wanted = size // 4 if overlap is None else overlap
    shared = -(-wanted // unit) * unit
    if not 0 <= shared < size:
        message = f"an overlap of {wanted} pixels leaves no step between tiles of {size} pixels"
        raise SizeError(message, hint=f"use an overlap from 0 to {size - unit}", code=CODE)
    return shared


def strides(size: int, cells: int) -> tuple[int, int]:
    """The pixels of a tile for each cell of its output, and the unit of the tiles' positions.

    The unit is a multiple of the output's stride, and of the network's deepest one as far as that is known: the largest
    power of 2 that divides the tile, up to 32 and to a quarter of the tile.
    """
    if cells < 1 or size % cells:
        raise SizeError(
            f"the output has {cells} positions for {size} pixels of the input, which is no whole stride",
            hint="export the model at a size that is a multiple of its stride",
            code=CODE,
        )
    deepest = 1 << min(DEEPEST_STRIDE, max(size // 4, 1)).bit_length() - 1
    return size // cells, math.lcm(size // cells, math.gcd(size, deepest))


def rise(distance: NDArray[np.floating[Any]], width: float) -> NDArray[np.float64]:
    """From 0 to 1 over `width` pixels around a distance of 0, as a raised cosine; a step for a width of 0."""
    if width == 0:
        return (distance >= 0).astype(np.float64)
    risen: NDArray[np.float64] = np.sin(np.pi / 2 * np.clip(distance / width + 0.5, 0, 1)) ** 2
    return risen


@dataclass(frozen=True)
class Tiling:
    """How to cut frames for a network.

    size: (H, W) of its input. cells: (h, w) of its output. overlap, stitch: as for `tile_axis`. fill: rgb of what lies
    beyond the frame. batch: the most tiles that the network takes at once. is_mask: its output is labels (N, h, w), not
    logits (N, C, h, w).
    """

    size: tuple[int, int]
    cells: tuple[int, int]
    overlap: int | None
    stitch: str
    fill: tuple[int, int, int]
    batch: int = 1
    is_mask: bool = False
    align_corners: bool = False

    def axes(self, size: tuple[int, int]) -> tuple[Axis, Axis]:
        """The tiles along the height and the width of a frame of `size` (H, W)."""
        vertical, horizontal = (
            tile_axis(length, tile, cells, self.overlap, self.stitch)
            for length, tile, cells in zip(size, self.size, self.cells)
        )
        return vertical, horizontal

    def overlaps(self) -> tuple[int, int]:
        """The pixels that neighbours share at least, along the height and the width."""
        height, width = (shared_pixels(*each, self.overlap) for each in zip(self.size, self.cells))
        return height, width

    def count(self, size: tuple[int, int]) -> int:
        """The number of tiles of a frame of `size` (H, W)."""
        vertical, horizontal = self.axes(size)
        return len(vertical.tiles) * len(horizontal.tiles)

    def labels(self, rgb: Rgb, infer: Callable[[list[Rgb]], NDArray[Any]]) -> NDArray[np.uint8]:
        """The labels (H, W) of a frame `rgb` (H, W, 3).

        infer: the network's output for at most `batch` tiles, which it may overwrite when it is called again.
        """
        height, width = rgb.shape[:2]
        vertical, horizontal = self.axes((height, width))
        stitcher = (MaskStitcher if self.is_mask else LogitStitcher)(self, (height, width))
        for index, row in enumerate(vertical.tiles):
            for place in range(0, len(horizontal.tiles), self.batch):
                columns = horizontal.tiles[place : place + self.batch]
                outputs = infer([self._cut(rgb, row.start, column.start) for column in columns])
                for output, column in zip(outputs, columns):
                    stitcher.add(output, row, column)
            stitcher.end_row(vertical.tiles[index + 1].first if index + 1 < len(vertical.tiles) else vertical.cells)
        return stitcher.result()

    def _cut(self, rgb: Rgb, top: int, left: int) -> Rgb:
        """The tile at a position; what lies beyond the frame has the colour `fill`."""
        part = rgb[top : top + self.size[0], left : left + self.size[1]]
        if part.shape[:2] == self.size:
            return np.ascontiguousarray(part)
        tile = np.empty((*self.size, 3), np.uint8)
        tile[:] = self.fill
        tile[: part.shape[0], : part.shape[1]] = part
        return tile


class LogitStitcher:
    """Sums weighted logits, one row of tiles at a time, and labels the rows of the frame that are complete."""

    def __init__(self, tiling: Tiling, size: tuple[int, int]) -> None:
        self._axes, self._align_corners = tiling.axes(size), tiling.align_corners
        self._labels = np.empty(size, np.uint8)
        self._band = np.zeros((0, 0, 0), np.float32)  # (C, n, w): the sums from the row of cells `_first` on
        self._first = self._labelled = 0

    def add(self, logits: NDArray[np.float32], row: Tile, column: Tile) -> None:
        """Add the logits (C, h, w) of a tile."""
        _, horizontal = self._axes
        if self._band.shape[1] < row.end - self._first:
            band = np.zeros((len(logits), row.end - self._first, horizontal.cells), np.float32)
            band[:, : self._band.shape[1]] = self._band if self._band.size else 0
            self._band = band
        part = self._band[:, row.first - self._first : row.end - self._first, column.first : column.end]
        part += logits[:, row.inside, column.inside] * (row.weights[:, None] * column.weights)

    def end_row(self, complete: int) -> None:
        """Label what lies between the first `complete` rows of cells, to which no later tile adds."""
        vertical, horizontal = self._axes
        size = vertical.length, horizontal.length
        end = min(complete_rows(complete, vertical.cells, size[0], self._align_corners), len(self._labels))
        if end > self._labelled:
            labels_of_band(
                self._band[:, : complete - self._first], self._labels[self._labelled : end], size,
                height=vertical.cells, first=self._first, start=self._labelled, align_corners=self._align_corners,
            )  # fmt: skip
            self._labelled = end
        next_first = max(complete - 1, 0)
        self._band, self._first = self._band[:, next_first - self._first :].copy(), next_first

    def result(self) -> NDArray[np.uint8]:
        """The labels (H, W), after the last row."""
        return self._labels


class MaskStitcher:
    """Puts the labels of tiles beside each other."""

    def __init__(self, tiling: Tiling, size: tuple[int, int]) -> None:
        vertical, horizontal = tiling.axes(size)
        self._size, self._whole = size, (vertical.length, horizontal.length)
        self._labels = np.empty((vertical.cells, horizontal.cells), np.uint8)

    def add(self, labels: NDArray[np.uint8], row: Tile, column: Tile) -> None:
        """Copy the labels (h, w) of a tile where it has a weight."""
        self._labels[row.first : row.end, column.first : column.end] = labels[row.inside, column.inside]

    def end_row(self, complete: int) -> None:
        """Nothing: labels are complete when they are copied."""

    def result(self) -> NDArray[np.uint8]:
        """The labels (H, W), by nearest neighbour where the output is smaller than the input."""
        whole = self._labels if self._labels.shape == self._whole else labels_nearest(self._labels, self._whole)
        return np.ascontiguousarray(whole[: self._size[0], : self._size[1]])
