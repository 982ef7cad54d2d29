"""Bring a frame to the input size of a model."""

from __future__ import annotations

import zlib

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.pixels.buffers import check_size, output_buffer
from edgeseg.spec import InputSpec

TAP_ONE = 2048  # the weight 1 of a resize tap


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


def input_from_rgb(rgb: NDArray[np.uint8], spec: InputSpec) -> NDArray[np.uint8]:
    """An input of a network, (H, W, 3), from an image: resized, or with tiles a part of a larger image.

    The part is drawn at random, always the same one of the same image.
    """
    size = (spec.height, spec.width)
    if spec.tiles is None or any(side < wanted for side, wanted in zip(rgb.shape, size)):
        return resize_rgb(rgb, size)
    drawn = np.random.default_rng(zlib.crc32(np.ascontiguousarray(rgb).data))
    top, left = (int(drawn.integers(side - wanted + 1)) for side, wanted in zip(rgb.shape, size))
    return np.ascontiguousarray(rgb[top : top + size[0], left : left + size[1]])


def resize_taps(size_in: int, size_out: int, *, columns: bool) -> NDArray[np.uint16]:
    """The weights of cv2.INTER_LINEAR for uint8 along one axis: fixed point of 11 bits, from float32 positions.

    (size_out, 4): two source indices and their weights in 1/2048, for each output row or, with `columns`, column. At
    the borders OpenCV gives a column the whole weight of one source, and a row two weights of the same source, whose
    products are rounded down separately.
    """
    position = ((np.arange(size_out) + 0.5) * (size_in / size_out) - 0.5).astype(np.float32)
    lower = np.floor(position)
    weight = position - lower
    if columns:
        weight[(lower < 0) | (lower >= size_in - 1)] = 0
        lower = lower.clip(0, size_in - 1)
    first, second = lower.clip(0, size_in - 1), (lower + 1).clip(0, size_in - 1)
    weights = np.rint((1 - weight) * np.float32(TAP_ONE)), np.rint(weight * np.float32(TAP_ONE))
    return np.ascontiguousarray(np.stack([first, second, *weights], 1), np.uint16)
