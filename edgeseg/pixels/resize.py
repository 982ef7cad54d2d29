"""Resize a frame to the input size of a model."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.pixels.buffers import check_size, output_buffer


def resize_rgb(
    rgb: NDArray[np.uint8], size: tuple[int, int], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """`rgb` (H, W, 3) at `size`, by the "linear" rule: bilinear with half-pixel centres, no antialiasing.

    Returns `rgb` itself, not a copy, where the size is right and `out` is None.
    """
    check_size(size)
    if rgb.shape[:2] == size and out is None:
        return rgb
    resized = output_buffer(out, (*size, 3))
    if rgb.shape[:2] == size:
        np.copyto(resized, rgb)
    else:
        cv2.resize(rgb, (size[1], size[0]), dst=resized, interpolation=cv2.INTER_LINEAR)
    return resized
