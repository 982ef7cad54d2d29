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
    if not 0 <= opacity <= 1:
        raise DataError(f"opacity {opacity} is not between 0 and 1", hint="pass opacity=0.5")
    share = round(opacity * 256)
    colors = checked_palette(palette)
    keep = np.full(256, 256, np.uint16)
    keep[: len(colors)] = 256 - share
    tint = np.full((256, 3), 128, np.uint16)
    tint[: len(colors)] += colors.astype(np.uint16) * np.uint16(share)
    return keep, tint


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
    """Blend row by row; a frame row of W pixels is 3 * W bytes, and so are the lines made from the labels."""
    keep_line = np.empty(rgb.shape[1], np.uint16)
    tint_line = np.empty(rgb.shape[1], np.uint16)
    expanded = -1  # the label row that the lines hold: one serves about two rows of a 1080p frame
    for y in range(rgb.shape[0]):
        if rows[y] != expanded:
            expanded = rows[y]
            for x in range(columns.size):
                label = labels[expanded, columns[x]]
                for channel in range(3):
                    keep_line[3 * x + channel] = keep[label]
                    tint_line[3 * x + channel] = tint[label, channel]
        source, target = rgb[y], out[y]
        for i in range(source.size):  # uint32, because numba would widen uint16 to 64 bits
            target[i] = (np.uint32(source[i]) * np.uint32(keep_line[i]) + np.uint32(tint_line[i])) >> np.uint32(8)
