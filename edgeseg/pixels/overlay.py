"""Blend the colours of labels into a frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, SizeError
from edgeseg.jit import jit
from edgeseg.pixels.buffers import frozen, output_buffer
from edgeseg.pixels.upsample import labels_nearest, nearest_index

Palette = NDArray[np.uint8]  # (K, 3) rgb, one row per class; the palette of a model is in its spec
IGNORE = 255  # not a class: it has no colour


def overlay_labels(
    rgb: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    palette: Palette,
    *,
    opacity: float = 0.5,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """`rgb` (H, W, 3) with the colours of `labels` (h, w), blended in; ids without a colour change nothing.

    opacity: 0 (frame only) to 1 (colours only), rounded to 1/256. `out` may be `rgb` itself.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or labels.ndim != 2 or 0 in labels.shape:
        raise SizeError(
            f"an overlay needs an rgb frame (H, W, 3) and labels (h, w), not {rgb.shape} and {labels.shape}",
            hint="pass the frame and the mask of one image",
        )
    keep, tint = blend_tables(palette, opacity)
    blended = output_buffer(out, rgb.shape)
    rows = nearest_index(labels.shape[0], rgb.shape[0])
    columns = nearest_index(labels.shape[1], rgb.shape[1])
    pixels = frozen(rgb, np.uint8).reshape(rgb.shape[0], -1)
    _blend(pixels, frozen(labels, np.uint8), rows, columns, keep, tint, blended.reshape(pixels.shape))
    return blended


def overlay_labels_numpy(
    rgb: NDArray[np.uint8], labels: NDArray[np.uint8], palette: Palette, *, opacity: float = 0.5
) -> NDArray[np.uint8]:
    """The same bytes without compiled code: the reference."""
    keep, tint = blend_tables(palette, opacity)
    labels = labels_nearest(labels, (rgb.shape[0], rgb.shape[1]))
    blended: NDArray[np.uint8] = ((rgb * keep[labels][..., None] + tint[labels]) >> 8).astype(np.uint8)
    return blended


def blend_tables(palette: Palette, opacity: float) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """For each of 256 ids the share of the frame that stays, in 1/256, and its colour times the other share.

    The colour carries the half that rounds. The blend, (rgb * keep + tint) >> 8, stays below 2**16.
    """
    share = checked_share(opacity)
    colors = checked_palette(palette)
    keep = np.full(256, 256, np.uint16)
    keep[: len(colors)] = 256 - share
    tint = np.full((256, 3), 128, np.uint16)
    tint[: len(colors)] += colors.astype(np.uint16) * np.uint16(share)
    return keep, tint


def checked_share(opacity: float) -> int:
    """`opacity` in 1/256. DataError outside 0 to 1."""
    if not 0 <= opacity <= 1:
        raise DataError(f"opacity {opacity} is not between 0 and 1", hint="pass opacity=0.5")
    return round(opacity * 256)


def checked_palette(palette: Palette) -> Palette:
    """The rows of `palette` for labels 0 to 254. DataError for another shape or type."""
    if palette.ndim != 2 or palette.shape[1] != 3 or palette.dtype != np.uint8:
        raise DataError(
            f"a palette is (K, 3) uint8, not {palette.dtype} {palette.shape}",
            hint="give one rgb triple of 0 to 255 for each class, as in default_palette(19)",
        )
    return palette[:IGNORE]


@jit
def _blend(
    rgb: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    keep: NDArray[np.uint16],
    tint: NDArray[np.uint16],
    out: NDArray[np.uint8],
) -> None:
    """Blend row by row, run by run; a frame row of W pixels is 3 * W bytes.

    Along a run of one label the share is constant, and the tint is a slice of a line that repeats the label's colour:
    the loop over the bytes of a run compiles to vector code. Runs are found eight labels at a time.
    """
    width = columns.size
    lines = np.empty((256, 3 * width), np.uint16)  # pages of labels that do not occur are never touched
    has_line = np.zeros(256, np.bool_)
    row = np.zeros((width + 7) // 8 * 8, np.uint8)
    words = row.view(np.uint64)
    whole = width == labels.shape[1]
    expanded = -1  # the label row that `row` holds: one serves about two rows of a 1080p frame
    for y in range(rgb.shape[0]):
        if rows[y] != expanded:
            expanded = rows[y]
            if whole:
                row[:width] = labels[expanded]
            else:
                for x in range(width):
                    row[x] = labels[expanded, columns[x]]
        source, target = rgb[y], out[y]
        start = 0
        while start < width:
            label = row[start]
            end = start + 1
            while end < width and end % 8 and row[end] == label:
                end += 1
            if end % 8 == 0:
                same = np.uint64(label) * np.uint64(0x0101010101010101)
                while end + 8 <= width and words[end // 8] == same:
                    end += 8
                while end < width and row[end] == label:
                    end += 1
            if not has_line[label]:
                has_line[label] = True
                for x in range(width):
                    for channel in range(3):
                        lines[label, 3 * x + channel] = tint[label, channel]
            share, line = np.uint32(keep[label]), lines[label, 3 * start : 3 * end]
            before, after = source[3 * start : 3 * end], target[3 * start : 3 * end]
            for i in range(before.size):  # uint32, because numba would widen uint16 to 64 bits
                after[i] = (np.uint32(before[i]) * share + np.uint32(line[i])) >> np.uint32(8)
            start = end
