"""Arrays for compiled loops: contiguous, of one type, inputs read-only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgeseg.errors import SizeError


def frozen(array: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """A read-only C-contiguous view of `array` as `dtype`; copied only if needed.

    numba compiles once for writable and once for read-only arrays: read-only inputs need one compilation.
    """
    view: NDArray[Any] = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def output_buffer(out: NDArray[np.uint8] | None, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """`out`, or a new uint8 array of `shape` for None. SizeError where `out` does not fit."""
    if out is None:
        return np.empty(shape, np.uint8)
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise SizeError(
            f"out is {out.dtype} {out.shape}, and the result is contiguous uint8 {shape}",
            hint=f"pass out=np.empty({shape}, np.uint8), or omit out",
        )
    return out


def check_size(size: tuple[int, int]) -> None:
    """SizeError for a target `size` (H, W) without pixels."""
    if min(size) < 1:
        raise SizeError(f"a target size of {size[1]}x{size[0]} has no pixels", hint="ask for at least 1x1")
