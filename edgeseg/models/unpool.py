"""Max pooling that keeps the place of each maximum, and unpooling, in operators that every engine has.

They give what torch's max_pool2d with indices and max_unpool2d give, ties included. An ONNX MaxPool with two outputs
is refused by TensorRT, and its indices are no input of any unpooling in ONNX.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

LOWEST = -6e4  # below every activation, and finite in float16


def max_pool(x: Tensor, kernel: int) -> tuple[Tensor, Tensor]:
    """(N, C, H, W) of even sides to its maxima and their places, both (N, C, H/2, W/2).

    kernel: 2, or 3 for windows that overlap, which begin one row and column before the map.
    A place is the position of the first maximum in its window, row by row, as a float.
    """
    height, width = x.shape[2] // 2, x.shape[3] // 2
    if kernel == 3:
        x = F.pad(x, (1, 0, 1, 0), value=LOWEST)
    best = x[:, :, : 2 * height : 2, : 2 * width : 2]
    places = torch.zeros_like(best)
    for place in range(1, kernel**2):
        row, column = divmod(place, kernel)
        value = x[:, :, row : row + 2 * height : 2, column : column + 2 * width : 2][:, :, :height, :width]
        larger = value > best
        best, places = torch.where(larger, value, best), torch.where(larger, float(place), places)
    return best, places


def max_unpool(y: Tensor, places: Tensor, kernel: int) -> Tensor:
    """(N, C, H, W), each value back at the place of its window; (N, C, 2H, 2W), zero elsewhere.

    kernel: as for `max_pool`. Where two windows have one place, the later value stays.
    """
    count, channels, height, width = y.shape
    if kernel == 3:
        y, places = F.pad(y, (0, 1, 0, 1)), F.pad(places, (0, 1, 0, 1), value=-1.0)
    phases = []
    for odd_row in (0, 1):
        for odd_column in (0, 1):
            phase: Tensor | float = 0.0
            for down, row in windows(kernel, odd_row):
                for right, column in windows(kernel, odd_column):
                    source = (..., slice(down, down + height), slice(right, right + width))
                    phase = torch.where(places[source] == float(kernel * row + column), y[source], phase)
            phases.append(cast(Tensor, phase))
    return F.pixel_shuffle(torch.stack(phases, 2).reshape(count, 4 * channels, height, width), 2)


def windows(kernel: int, odd: int) -> Iterator[tuple[int, int]]:
    """The windows that hold position 2 a + `odd` of a side: (window less a, position inside it)."""
    if kernel == 2:
        yield 0, odd
        return
    yield 0, odd + 1
    if odd:
        yield 1, 0
