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
    # The chroma of pure blue and red is 255.5 in full range: with the half that rounds, opaque, it needs 17 bits.
    tints[:, : len(colors)] = np.minimum(np.rint(colors.T * share) + 128, 65535).astype(np.uint16)
    y, u, v = (frozen(plane, np.uint8) for plane in planes.i420().arrays)
    memory = np.empty(y.size + u.size + v.size, np.uint8)
    parts = np.split(memory, [y.size, y.size + u.size])
    blended = tuple(part.reshape(plane.shape) for part, plane in zip(parts, (y, u, v)))
    rows, columns = (nearest_index(*sides) for sides in zip(labels.shape, planes.size))
    colored = 256 if int(labels.max()) < len(colors) else len(colors)
    _blend(y, u, v, frozen(labels, np.uint8), rows, columns, np.uint32(256 - share), colored, tints, *blended)
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
    """keep: the share of the image that stays, in 1/256. colors: labels from this one on have none; or 256.

    Lines hold the colour of each sample. Looking it up is no vector code, so it is done where labels differ from those
    of the row above alone.
    """
    height, width = y.shape
    padded = (width + 7) // 8 * 8
    row = np.zeros(padded, np.uint8)
    words = row.view(np.uint64)
    above = np.zeros_like(words)
    y_line = np.full(padded, tints[0, 0], np.uint16)
    u_line, v_line = np.full(padded // 2, tints[1, 0], np.uint16), np.full(padded // 2, tints[2, 0], np.uint16)
    for n in range(height):
        _expand(labels[rows[n]], columns, row)
        _look_up(words, above, row, tints, y_line, u_line, v_line)
        _mix(y[n], y_line, keep, y_out[n])
        if colors < 256:
            _restore(y[n], row, 1, colors, y_out[n])
        if n % 2 == 0:
            m = n // 2
            _mix(u[m], u_line, keep, u_out[m])
            _mix(v[m], v_line, keep, v_out[m])
            if colors < 256:
                _restore(u[m], row, 2, colors, u_out[m])
                _restore(v[m], row, 2, colors, v_out[m])


@jit
def _expand(labels: NDArray[np.uint8], columns: NDArray[np.int64], row: NDArray[np.uint8]) -> None:
    """The labels of the pixels of a row."""
    if labels.size == columns.size:
        for x in range(columns.size):
            row[x] = labels[x]
    else:
        for x in range(columns.size):
            row[x] = labels[columns[x]]


@jit
def _look_up(
    words: NDArray[np.uint64],
    above: NDArray[np.uint64],
    row: NDArray[np.uint8],
    tints: NDArray[np.uint16],
    y_line: NDArray[np.uint16],
    u_line: NDArray[np.uint16],
    v_line: NDArray[np.uint16],
) -> None:
    """words: `row`, eight labels at a time. above: those of the row above, replaced by these.

    Chroma has only every second row, but keeps up with all of them: comparing once costs less than twice.
    """
    y_tints, u_tints, v_tints = tints[0], tints[1], tints[2]
    for w in range(words.size):
        if words[w] != above[w]:
            above[w] = words[w]
            for x in range(8 * w, 8 * w + 8):
                y_line[x] = y_tints[row[x]]
            for i in range(4 * w, 4 * w + 4):
                u_line[i], v_line[i] = u_tints[row[2 * i]], v_tints[row[2 * i]]


@jit
def _mix(source: NDArray[np.uint8], line: NDArray[np.uint16], keep: np.uint32, target: NDArray[np.uint8]) -> None:
    """Sums fit 16 bits, and are cut to them in so many words: of 32 bits, half as many would go into a vector."""
    for i in range(source.size):
        target[i] = np.uint16(np.uint32(source[i]) * keep + np.uint32(line[i])) >> np.uint16(8)


@jit
def _restore(
    source: NDArray[np.uint8], row: NDArray[np.uint8], step: int, colors: int, target: NDArray[np.uint8]
) -> None:
    """Undo the blend where labels have no colour."""
    for i in range(source.size):
        if row[step * i] >= colors:
            target[i] = source[i]
