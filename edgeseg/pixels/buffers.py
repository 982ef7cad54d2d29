"""Arrays as the compiled loops want them: contiguous, of one type, inputs read-only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from edgeseg.errors import SizeError


def frozen(array: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """A read-only C-contiguous view of `array` as `dtype`; copied only where it has to be.

    numba compiles writable and read-only arrays apart: with every input read-only, one compilation serves both.
    """
    view: NDArray[Any] = np.ascontiguousarray(array, dtype=dtype).view()
    view.flags.writeable = False
    return view


def output_buffer(out: NDArray[np.uint8] | None, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """`out` where the caller gave one that fits, else a new uint8 array of `shape`."""
    if out is None:
        return np.empty(shape, np.uint8)
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise SizeError(
            f"out is {out.dtype} {out.shape}, and the result is contiguous uint8 {shape}",
            hint=f"pass out=np.empty({shape}, np.uint8), or leave out away",
        )
    return out


def check_size(size: tuple[int, int]) -> None:
    """Refuse a target `size` (H, W) that holds no pixel."""
    if min(size) < 1:
        raise SizeError(f"a target size of {size[1]}x{size[0]} has no pixels", hint="ask for at least 1x1")
