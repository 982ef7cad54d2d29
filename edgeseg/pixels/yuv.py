"""RGB from YUV planes: the whole image, or only the pixels that its resized image needs.

A chroma sample colours the four pixels of its square. Factors have 20 bits, and the result is rounded to the nearest
integer: it is the same on every CPU and on a GPU. FFmpeg's conversion depends on the CPU, and is up to 3 steps away.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from edgeseg.jit import jit
from edgeseg.pixels.buffers import check_size, frozen
from edgeseg.pixels.planes import Planes, rgb_factors
from edgeseg.pixels.resize import resize_rgb, resize_taps

FEWER = 8  # source pixels to one of the resized image, from which on it pays to convert only those that it needs
CACHED = 16  # pairs of sizes
ROUND = np.int32(1 << 19)
SHIFT, SHIFT_16 = np.int32(20), np.int32(16)
BLACK, LUMA, RED_V, GREEN_U, GREEN_V, BLUE_U = range(6)  # in the factors


def rgb_from_planes(planes: Planes) -> NDArray[np.uint8]:
    """The image as rgb, (H, W, 3)."""
    rgb = np.empty((*planes.size, 3), np.uint8)
    _convert(*_frozen(planes), _factors(planes), rgb.reshape(rgb.shape[0], -1))
    return rgb


def resize_planes(planes: Planes, size: tuple[int, int]) -> NDArray[np.uint8]:
    """`resize_rgb(rgb_from_planes(planes), size)`, at less cost where `size` is much smaller."""
    check_size(size)
    if FEWER * size[0] * size[1] > planes.size[0] * planes.size[1]:
        return resize_rgb(rgb_from_planes(planes), size)
    rgb = np.empty((*size, 3), np.uint8)
    flat = rgb.reshape(size[0], -1)
    _resize(*_frozen(planes), _factors(planes), *_taps(planes.size, size), flat)
    return rgb


@functools.lru_cache(maxsize=CACHED)
def _taps(
    size_in: tuple[int, int], size_out: tuple[int, int]
) -> tuple[NDArray[np.int32], NDArray[np.uint32], NDArray[np.int32]]:
    """The rows with their weights (h, 4), the columns (2, w) and their weights (2, w)."""
    rows = resize_taps(size_in[0], size_out[0], columns=False)
    columns = np.ascontiguousarray(resize_taps(size_in[1], size_out[1], columns=True).T)
    # Unsigned, because numba would ask of each signed index whether it counts from the end.
    return frozen(rows, np.int32), frozen(columns[:2], np.uint32), frozen(columns[2:], np.int32)


def _frozen(planes: Planes) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    y, u, v = (frozen(plane, np.uint8) for plane in planes.i420().arrays)
    return y, u, v


def _factors(planes: Planes) -> NDArray[np.int32]:
    return np.array(rgb_factors(planes.matrix, planes.full_range), np.int32)


@jit
def _times(a: np.int32, b: np.int32) -> np.int32:
    """The product in 32 bits: numba's has 64, of which half as many go into a vector. The same holds for `_plus`."""
    return np.int32(a * b)


@jit
def _plus(a: np.int32, b: np.int32) -> np.int32:
    return np.int32(a + b)


@jit
def _byte(value: np.int32) -> np.int32:
    return np.int32(min(max(np.int32(value >> SHIFT), np.int32(0)), np.int32(255)))


@jit
def _convert(
    y: NDArray[np.uint8],
    u: NDArray[np.uint8],
    v: NDArray[np.uint8],
    factors: NDArray[np.int32],
    rgb: NDArray[np.uint8],
) -> None:
    """Fill `rgb` (H, 3 * W)."""
    height, width = y.shape
    chroma = np.empty((3, u.shape[1]), np.int32)
    wide = np.empty((3, 2 * u.shape[1]), np.int32)
    for row in range(height):
        if row % 2 == 0:
            _chroma(u[row // 2], v[row // 2], factors, chroma)
            for channel in range(3):
                for i in range(u.shape[1]):
                    wide[channel, 2 * i] = chroma[channel, i]
                    wide[channel, 2 * i + 1] = chroma[channel, i]
        source, target = y[row], rgb[row]
        for x in range(width):
            luma = _times(np.int32(source[x]), factors[LUMA])
            target[3 * x] = _byte(_plus(luma, wide[0, x]))
            target[3 * x + 1] = _byte(_plus(luma, wide[1, x]))
            target[3 * x + 2] = _byte(_plus(luma, wide[2, x]))


@jit
def _resize(
    y: NDArray[np.uint8],
    u: NDArray[np.uint8],
    v: NDArray[np.uint8],
    factors: NDArray[np.int32],
    rows: NDArray[np.int32],
    columns: NDArray[np.uint32],
    weights: NDArray[np.int32],
    rgb: NDArray[np.uint8],
) -> None:
    """Fill `rgb` (h, 3 * w). rows (h, 4), columns (2, w) with their weights: the taps.

    Of each output row the two source rows are gathered at the two source columns of each output pixel: what follows
    runs along contiguous lines.
    """
    width = rgb.shape[1] // 3
    luma = np.empty((2, width), np.uint8)
    gathered = np.empty((2, width), np.uint8)
    chroma = np.empty((2, 3, width), np.int32)
    lines = np.empty((2, 3, width), np.int32)
    halves = columns // np.uint32(2)
    chroma_row = -1
    for target in range(rgb.shape[0]):
        for n in range(2):
            row = rows[target, n]
            if row // 2 != chroma_row:
                chroma_row = row // 2
                for side in range(2):
                    _gather(u[chroma_row], halves[side], gathered[0])
                    _gather(v[chroma_row], halves[side], gathered[1])
                    _chroma(gathered[0], gathered[1], factors, chroma[side])
            for side in range(2):
                _gather(y[row], columns[side], luma[side])
            _across(luma, chroma, weights, factors, lines[n])
        _down(lines, rows[target, 2], rows[target, 3], rgb[target])


@jit
def _chroma(u: NDArray[np.uint8], v: NDArray[np.uint8], factors: NDArray[np.int32], chroma: NDArray[np.int32]) -> None:
    """What is added to the luma of each channel: chroma, the offset of black, and the half that rounds."""
    offset = np.int32(ROUND - factors[BLACK] * factors[LUMA])
    for i in range(u.size):
        blue, red = np.int32(np.int32(u[i]) - np.int32(128)), np.int32(np.int32(v[i]) - np.int32(128))
        chroma[0, i] = _plus(offset, _times(factors[RED_V], red))
        chroma[1, i] = offset - _plus(_times(factors[GREEN_U], blue), _times(factors[GREEN_V], red))
        chroma[2, i] = _plus(offset, _times(factors[BLUE_U], blue))


@jit
def _gather(row: NDArray[np.uint8], columns: NDArray[np.uint32], out: NDArray[np.uint8]) -> None:
    for i in range(columns.size):
        out[i] = row[columns[i]]


@jit
def _across(
    luma: NDArray[np.uint8],
    chroma: NDArray[np.int32],
    weights: NDArray[np.int32],
    factors: NDArray[np.int32],
    line: NDArray[np.int32],
) -> None:
    """Convert two source pixels and interpolate between them, by channel."""
    for channel in range(3):
        for i in range(luma.shape[1]):
            left, right = _times(np.int32(luma[0, i]), factors[LUMA]), _times(np.int32(luma[1, i]), factors[LUMA])
            a, b = _byte(_plus(left, chroma[0, channel, i])), _byte(_plus(right, chroma[1, channel, i]))
            line[channel, i] = _plus(_times(weights[0, i], a), _times(weights[1, i], b)) >> np.int32(4)


@jit
def _down(lines: NDArray[np.int32], top: np.int32, bottom: np.int32, target: NDArray[np.uint8]) -> None:
    """Interpolate between two lines as OpenCV does: each product is rounded down to 2 bits behind the point."""
    for i in range(target.size // 3):  # channel by channel in so many words: a loop over them is half as fast
        target[3 * i] = _between(top, lines[0, 0, i], bottom, lines[1, 0, i])
        target[3 * i + 1] = _between(top, lines[0, 1, i], bottom, lines[1, 1, i])
        target[3 * i + 2] = _between(top, lines[0, 2, i], bottom, lines[1, 2, i])


@jit
def _between(top: np.int32, above: np.int32, bottom: np.int32, below: np.int32) -> np.int32:
    sum_4 = _plus(np.int32(_times(top, above) >> SHIFT_16), np.int32(_times(bottom, below) >> SHIFT_16))
    return _plus(sum_4, np.int32(2)) >> np.int32(2)
