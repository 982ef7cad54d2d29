"""Blend the colours of labels into YUV planes: an overlay for a video encoder, without RGB."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import SizeError
from edgeseg.jit import jit
from edgeseg.pixels.buffers import frozen
from edgeseg.pixels.overlay import Palette, checked_palette, checked_share
from edgeseg.pixels.planes import Planes, yuv_from_rgb
from edgeseg.pixels.upsample import nearest_index


def overlay_planes(planes: Planes, labels: NDArray[np.uint8], palette: Palette, *, opacity: float = 0.5) -> Planes:
    """`planes` as I420 with the colours of `labels` (h, w) blended in; they lie one behind the other in `memory`.

    It is what `overlay_labels` makes of their RGB, but for rounding, and for colours that RGB does not have. A chroma
    sample gets the colour of the upper left pixel of its square.
    """
    if labels.ndim != 2 or 0 in labels.shape:
        raise SizeError(f"an overlay needs labels (h, w), not {labels.shape}", hint="pass the mask of the image")
    share = checked_share(opacity)
    colors = yuv_from_rgb(checked_palette(palette), planes.matrix, planes.full_range)
    tints = np.full((3, 256), 128, np.uint16)
    tints[:, : len(colors)] += np.rint(colors.T * share).astype(np.uint16)
    y, u, v = (frozen(plane, np.uint8) for plane in planes.i420().arrays)
    memory = np.empty(y.size + u.size + v.size, np.uint8)
    parts = np.split(memory, [y.size, y.size + u.size])
    blended = tuple(part.reshape(plane.shape) for part, plane in zip(parts, (y, u, v)))
    rows, columns = (nearest_index(*sides) for sides in zip(labels.shape, planes.size))
    _blend(y, u, v, frozen(labels, np.uint8), rows, columns, np.uint32(256 - share), len(colors), tints, *blended)
    return Planes("I420", blended, planes.matrix, planes.full_range, memory)


@jit
def _blend(
    y: NDArray[np.uint8],
    u: NDArray[np.uint8],
    v: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    keep: np.uint32,
    colors: int,
    tints: NDArray[np.uint16],
    y_out: NDArray[np.uint8],
    u_out: NDArray[np.uint8],
    v_out: NDArray[np.uint8],
) -> None:
    """keep: the share of the image that stays, in 1/256. colors: labels from this one on have none.

    Each step is a loop of its own, because looking up does not compile to vector code, and the others do.
    """
    height, width = y.shape
    row, line = np.empty(width, np.uint8), np.empty(width, np.uint16)
    every_second = np.empty(u.shape[1], np.uint8)
    for n in range(height):
        _expand(labels[rows[n]], columns, row)
        _look_up(row, tints[0], line)
        _mix(y[n], line, keep, y_out[n])
        _restore(y[n], row, colors, y_out[n])
        if n % 2 == 0:
            m = n // 2
            for i in range(every_second.size):
                every_second[i] = row[2 * i]
            _look_up(every_second, tints[1], line)
            _mix(u[m], line, keep, u_out[m])
            _look_up(every_second, tints[2], line)
            _mix(v[m], line, keep, v_out[m])
            _restore(u[m], every_second, colors, u_out[m])
            _restore(v[m], every_second, colors, v_out[m])


@jit
def _expand(labels: NDArray[np.uint8], columns: NDArray[np.int64], row: NDArray[np.uint8]) -> None:
    """The labels of the pixels of a row."""
    if labels.size == row.size:
        for x in range(row.size):
            row[x] = labels[x]
    else:
        for x in range(row.size):
            row[x] = labels[columns[x]]


@jit
def _look_up(row: NDArray[np.uint8], tints: NDArray[np.uint16], line: NDArray[np.uint16]) -> None:
    for i in range(row.size):
        line[i] = tints[row[i]]


@jit
def _mix(source: NDArray[np.uint8], line: NDArray[np.uint16], keep: np.uint32, target: NDArray[np.uint8]) -> None:
    for i in range(source.size):  # uint32, because numba would widen uint16 to 64 bits
        target[i] = (np.uint32(source[i]) * keep + np.uint32(line[i])) >> np.uint32(8)


@jit
def _restore(source: NDArray[np.uint8], row: NDArray[np.uint8], colors: int, target: NDArray[np.uint8]) -> None:
    """Undo the blend where labels have no colour."""
    highest = np.uint8(0)
    for i in range(row.size):
        highest = np.uint8(max(highest, row[i]))
    if highest >= colors:
        for i in range(row.size):
            if row[i] >= colors:
                target[i] = source[i]
