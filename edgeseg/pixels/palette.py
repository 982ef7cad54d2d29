"""Palettes, (K, 3) uint8 rgb, one row a class; a model's own palette travels in its spec."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError

Palette = NDArray[np.uint8]

IGNORE = 255  # never a class: it has no colour, whatever the palette's length


def colors_from_labels(labels: NDArray[np.uint8], palette: Palette) -> NDArray[np.uint8]:
    """The rgb picture (H, W, 3) of `labels`; 255 and ids beyond the palette are black."""
    known = checked_palette(palette)
    table = np.zeros((256, 3), np.uint8)
    table[: len(known)] = known
    return table.take(labels, axis=0)


def checked_palette(palette: Palette) -> Palette:
    """The rows of `palette` that uint8 labels can name, the row of 255 left out."""
    if palette.ndim != 2 or palette.shape[1] != 3 or palette.dtype != np.uint8:
        raise DataError(
            f"a palette is (K, 3) uint8, and this one is {palette.dtype} {palette.shape}",
            hint="give one rgb triple of 0 to 255 for each class, as in default_palette(19)",
        )
    return palette[:IGNORE]
