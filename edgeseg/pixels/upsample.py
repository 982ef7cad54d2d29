"""Low-resolution logits to full-resolution labels: bilinear upsample and argmax in one pass, exactly.

Bilinear interpolation is convex inside a cell (four neighbouring logits): a class that wins all four corners
wins every pixel between them, so such a cell is filled without a multiplication. In the other cells a class whose
highest corner lies below another's lowest one cannot win; only the rest is interpolated, pixel by pixel, with the
operations and their order as in torch's `upsample_bilinear2d`. Labels differ from torch's only where float
rounding decides between two classes.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import SizeError
from edgeseg.jit import jit
from edgeseg.pixels.buffers import check_size, frozen, output_buffer

Axis = tuple[NDArray[np.int64], NDArray[np.float32]]

CACHED = 64  # axes
TILE = 16  # pixels; a narrow cell is worked in tiles of at most TILE x TILE, so that their arrays stay in the L1 cache
VECTOR = 32  # tiles and rows are padded to this many pixels: the vectorised loop is left with no scalar rest


def labels_from_logits(
    logits: NDArray[np.float32],
    size: tuple[int, int],
    *,
    align_corners: bool = False,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """The labels (H, W) of `logits` (C, h, w) brought bilinearly to `size`; the first of equal classes wins.

    C is 1 to 255; any strides are taken, contiguous (C, h, w) is not copied. Which class a NaN gives is not
    defined. `out`, contiguous, is filled and returned.
    """
    _check_logits(logits, size)
    labels = output_buffer(out, size)
    labels_of_band(logits, labels, size, height=logits.shape[1], align_corners=align_corners)
    return labels


def labels_of_band(
    logits: NDArray[np.float32],
    labels: NDArray[np.uint8],
    size: tuple[int, int],
    *,
    height: int,
    first: int = 0,
    start: int = 0,
    align_corners: bool = False,
) -> None:
    """Fill `labels` (H, W), which are the rows from `start` on of an image of `size`, from a band of its logits.

    logits: (C, n, w), the rows from `first` on of (C, height, w). They must have every row that the labels lie between.
    labels: contiguous; they may have fewer columns than the image, from its left edge on.
    """
    rows, columns = labels.shape
    logits = frozen(logits, np.float32)
    row_starts, row_weights = _cells(height, size[0], align_corners)
    column_starts, column_weights = _cells(logits.shape[2], size[1], align_corners)
    row_starts = frozen(np.clip(row_starts[first : first + logits.shape[1] + 1] - start, 0, rows), np.int64)
    column_starts = frozen(np.minimum(column_starts, columns), np.int64)
    weights = frozen(row_weights[start : start + rows], np.float32), frozen(column_weights[:columns], np.float32)
    _fill(logits, _winners(logits), row_starts, column_starts, *weights, labels)


def complete_rows(complete: int, height: int, size: int, align_corners: bool) -> int:
    """How many rows of an image of `size` rows lie between the first `complete` of `height` rows of logits."""
    return size if complete == height else int(_cells(height, size, align_corners)[0][max(complete - 1, 0)])


def labels_from_logits_numpy(
    logits: NDArray[np.float32], size: tuple[int, int], *, align_corners: bool = False
) -> NDArray[np.uint8]:
    """The same labels without compiled code: the reference, with all C*H*W interpolated logits in memory."""
    labels: NDArray[np.uint8] = np.argmax(upsampled_logits(logits, size, align_corners=align_corners), axis=0).astype(
        np.uint8
    )
    return labels


def upsampled_logits(
    logits: NDArray[np.float32], size: tuple[int, int], *, align_corners: bool = False
) -> NDArray[np.float32]:
    """`logits` (C, h, w) brought bilinearly to (C, H, W) of `size`."""
    _check_logits(logits, size)
    rows, fy = source_axis(logits.shape[1], size[0], align_corners)
    columns, fx = source_axis(logits.shape[2], size[1], align_corners)
    right = np.minimum(columns + 1, logits.shape[2] - 1)
    below = np.minimum(rows + 1, logits.shape[1] - 1)
    wide = (1 - fx) * logits[:, :, columns] + fx * logits[:, :, right]
    full: NDArray[np.float32] = (1 - fy)[:, None] * wide[:, rows] + fy[:, None] * wide[:, below]
    return full


def labels_nearest(labels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """`labels` (h, w) brought to `size` by nearest neighbour with half-pixel centres."""
    check_size(size)
    rows = nearest_index(labels.shape[0], size[0])
    columns = nearest_index(labels.shape[1], size[1])
    resized: NDArray[np.uint8] = labels.take(columns, axis=1).take(rows, axis=0)
    return resized


@functools.lru_cache(maxsize=CACHED)
def nearest_index(size_in: int, size_out: int) -> NDArray[np.int64]:
    """The source index of each of `size_out` pixels: floor((i + 0.5) * size_in / size_out), in integers.

    This is what cv2.INTER_NEAREST_EXACT and torch's "nearest-exact" aim at; both round the ratio first, and can
    differ by one pixel where a centre falls on a border between two source pixels.
    """
    return frozen((2 * np.arange(size_out, dtype=np.int64) + 1) * size_in // (2 * size_out), np.int64)


def source_axis(size_in: int, size_out: int, align_corners: bool) -> Axis:
    """For each output pixel the lower source index, and the weight in [0, 1] of the index above it.

    In float32 throughout, as torch does: float64 would move the coordinates by up to 1e-5 of a pixel.
    """
    position = np.arange(size_out, dtype=np.float32)
    if align_corners:
        position *= np.float32(size_in - 1) / np.float32(max(size_out - 1, 1))
    else:
        position = (position + np.float32(0.5)) * (np.float32(size_in) / np.float32(size_out)) - np.float32(0.5)
        np.maximum(position, 0, out=position)
    lower = np.minimum(position.astype(np.int64), size_in - 1)
    weight = np.clip(position - lower.astype(np.float32), 0, 1)
    return lower, weight


@functools.lru_cache(maxsize=CACHED)
def _cells(size_in: int, size_out: int, align_corners: bool) -> Axis:
    """The first output pixel of each cell, with the number of pixels behind the last one, and the weights."""
    lower, weights = source_axis(size_in, size_out, align_corners)
    return frozen(np.searchsorted(lower, np.arange(size_in + 1)), np.int64), frozen(weights, np.float32)


def _check_logits(logits: NDArray[np.float32], size: tuple[int, int]) -> None:
    check_size(size)
    if logits.ndim != 3 or 0 in logits.shape or logits.shape[0] > 255:
        raise SizeError(
            f"logits of shape {logits.shape} are not (C, h, w) with 1 to 255 classes",
            hint="pass the logits of one image, channels first: logits[0]",
        )


@jit
def _winners(logits: NDArray[np.float32]) -> NDArray[np.int32]:
    """The first best class at each low-resolution position."""
    C, h, w = logits.shape
    winners = np.zeros((h, w), np.int32)
    best = np.empty(w, np.float32)
    for y in range(h):
        winner = winners[y]
        best[:] = logits[0, y]
        for c in range(1, C):
            line = logits[c, y]
            for x in range(w):  # everything is loaded before it is chosen from: this loop vectorises
                value, old, old_winner = line[x], best[x], winner[x]
                best[x] = value if value > old else old
                winner[x] = np.int32(c) if value > old else old_winner
    return winners


@jit
def _fill(
    logits: NDArray[np.float32],
    winners: NDArray[np.int32],
    row_starts: NDArray[np.int64],
    column_starts: NDArray[np.int64],
    row_weights: NDArray[np.float32],
    column_weights: NDArray[np.float32],
    labels: NDArray[np.uint8],
) -> None:
    """Walk the cells: fill each with its upper left winner, then work out those that have several."""
    C, h, w = logits.shape
    corners = np.empty((C, 4), np.float32)
    candidates = np.zeros(C, np.int32)
    tile = np.zeros((5, TILE * TILE), np.float32)
    tile_labels = np.zeros(TILE * TILE, np.int32)
    lines = np.zeros((C, 2, VECTOR), np.float32)
    best, best_labels = np.zeros(VECTOR, np.float32), np.zeros(VECTOR, np.int32)
    for y in range(h):
        y0, y1, below = row_starts[y], row_starts[y + 1], min(y + 1, h - 1)
        if y0 == y1:
            continue
        _fill_band(winners[y], column_starts, labels[y0:y1])
        tile_rows = tile_columns = 0  # a new band has new weights
        for x in range(w):
            x0, x1, right = column_starts[x], column_starts[x + 1], min(x + 1, w - 1)
            owner = winners[y, x]
            if owner == winners[y, right] and owner == winners[below, x] and owner == winners[below, right]:
                continue
            for c in range(C):
                corners[c, 0], corners[c, 1] = logits[c, y, x], logits[c, y, right]
                corners[c, 2], corners[c, 3] = logits[c, below, x], logits[c, below, right]
            count = max(_candidates(corners, candidates), 2)  # of the winners at the corners; NaN may leave fewer
            if x1 - x0 > TILE:
                for left in range(x0, x1, VECTOR):
                    end = min(left + VECTOR, x1)
                    fx, cell = column_weights[left:end], labels[y0:y1, left:end]
                    _label_rows(corners, candidates[:count], row_weights[y0:y1], fx, lines, best, best_labels, cell)
                continue
            for top in range(y0, y1, TILE):
                fy = row_weights[top : min(top + TILE, y1)]
                for left in range(x0, x1, TILE):
                    fx = column_weights[left : min(left + TILE, x1)]
                    # Neighbouring cells of an integer ratio share their weights; tall cells (several tiles) do not.
                    known = y1 - y0 <= TILE and tile_rows == fy.size and tile_columns == fx.size
                    if not (known and _same(tile[1], fx)):
                        _fill_weights(fy, fx, tile)
                        tile_rows, tile_columns = fy.size, fx.size
                    _label(corners, candidates[:count], tile, tile_labels, fy.size * fx.size)
                    _paste(tile_labels, labels[top : top + fy.size, left : left + fx.size])


@jit
def _fill_band(winner: NDArray[np.int32], column_starts: NDArray[np.int64], band: NDArray[np.uint8]) -> None:
    first = band[0]
    for x in range(winner.size):
        first[column_starts[x] : column_starts[x + 1]] = winner[x]
    for y in range(1, band.shape[0]):
        band[y] = first


@jit
def _candidates(corners: NDArray[np.float32], candidates: NDArray[np.int32]) -> int:
    """Put the classes that can win inside the cell into `candidates`, ascending; how many there are."""
    floor = np.float32(-np.inf)
    for c in range(corners.shape[0]):
        lowest = min(corners[c, 0], corners[c, 1], corners[c, 2], corners[c, 3])
        floor = max(floor, lowest)
    count = 0
    for c in range(corners.shape[0]):
        highest = max(corners[c, 0], corners[c, 1], corners[c, 2], corners[c, 3])
        candidates[count] = c  # without a branch: on random logits its misprediction costs more than all else
        count += 1 if highest >= floor else 0
    return count


@jit
def _label_rows(
    corners: NDArray[np.float32],
    candidates: NDArray[np.int32],
    fy: NDArray[np.float32],
    fx: NDArray[np.float32],
    lines: NDArray[np.float32],
    best: NDArray[np.float32],
    best_labels: NDArray[np.int32],
    labels: NDArray[np.uint8],
) -> None:
    """Label a cell of at most VECTOR columns row by row; `lines` hold its candidates along its upper and lower edge.

    Most cells have two candidates: those are compared without a detour through memory.
    """
    first, second = candidates[0], candidates[1]
    for k in range(candidates.size):
        c = candidates[k]
        a, b, d, e = corners[c, 0], corners[c, 1], corners[c, 2], corners[c, 3]
        for x in range(fx.size):
            lines[k, 0, x] = (np.float32(1) - fx[x]) * a + fx[x] * b
            lines[k, 1, x] = (np.float32(1) - fx[x]) * d + fx[x] * e
    for y in range(fy.size):
        bottom = fy[y]
        top = np.float32(1) - bottom
        for i in range(VECTOR):  # of a constant length: a slice with its own length would be left with a scalar rest
            value = top * lines[0, 0, i] + bottom * lines[0, 1, i]
            other = top * lines[1, 0, i] + bottom * lines[1, 1, i]
            best[i] = other if other > value else value
            best_labels[i] = second if other > value else first
        for k in range(2, candidates.size):
            c = candidates[k]
            for i in range(VECTOR):
                value = top * lines[k, 0, i] + bottom * lines[k, 1, i]
                old, old_label = best[i], best_labels[i]
                best[i] = value if value > old else old
                best_labels[i] = c if value > old else old_label
        line = labels[y]
        for x in range(fx.size):
            line[x] = best_labels[x]


@jit
def _same(weights: NDArray[np.float32], fx: NDArray[np.float32]) -> bool:
    same = True
    for i in range(fx.size):
        same &= weights[i] == fx[i]
    return same


@jit
def _fill_weights(fy: NDArray[np.float32], fx: NDArray[np.float32], tile: NDArray[np.float32]) -> None:
    """The four weights of each pixel of a tile, pixel after pixel: rows 0 to 3 are left, right, top, bottom."""
    i = 0
    for y in range(fy.size):
        for x in range(fx.size):
            tile[0, i], tile[1, i] = np.float32(1) - fx[x], fx[x]
            tile[2, i], tile[3, i] = np.float32(1) - fy[y], fy[y]
            i += 1


@jit
def _label(
    corners: NDArray[np.float32],
    candidates: NDArray[np.int32],
    tile: NDArray[np.float32],
    labels: NDArray[np.int32],
    size: int,
) -> None:
    """Interpolate each candidate over the tile and keep the best; row 4 of the tile holds the best value."""
    left, right, top, bottom, best = tile[0], tile[1], tile[2], tile[3], tile[4]
    padded = (size + VECTOR - 1) // VECTOR * VECTOR
    best[:padded] = -np.inf
    labels[:padded] = candidates[0]
    for c in candidates:
        a, b, d, e = corners[c, 0], corners[c, 1], corners[c, 2], corners[c, 3]
        for i in range(padded):
            value = top[i] * (left[i] * a + right[i] * b) + bottom[i] * (left[i] * d + right[i] * e)
            old, old_label = best[i], labels[i]
            best[i] = value if value > old else old
            labels[i] = c if value > old else old_label


@jit
def _paste(tile_labels: NDArray[np.int32], labels: NDArray[np.uint8]) -> None:
    i = 0
    for y in range(labels.shape[0]):
        line = labels[y]
        for x in range(line.size):
            line[x] = tile_labels[i + x]
        i += line.size
