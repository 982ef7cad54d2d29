"""The weights of cv2.INTER_LINEAR for uint8, one axis at a time: fixed point of 11 bits, from float32 positions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ONE = 2048


def resize_taps(size_in: int, size_out: int, *, columns: bool) -> NDArray[np.uint16]:
    """(size_out, 4): two source indices and their weights in 1/2048, for each output row or, with `columns`, column.

    At the borders OpenCV gives a column the whole weight of one source, and a row two weights of the same source,
    whose products are rounded down apart.
    """
    position = ((np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5).astype(np.float32)
    lower = np.floor(position)
    weight = position - lower
    if columns:
        weight[(lower < 0) | (lower >= size_in - 1)] = 0
        lower = lower.clip(0, size_in - 1)
    first, second = lower.clip(0, size_in - 1), (lower + 1).clip(0, size_in - 1)
    taps = np.stack([first, second, np.rint((1 - weight) * np.float32(ONE)), np.rint(weight * np.float32(ONE))], 1)
    return np.ascontiguousarray(taps, np.uint16)
