"""A decoded image with separate luma and chroma planes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Planes:
    """A decoded YUV image.

    arrays: I420: Y (H, W), U and V (H/2, W/2), halves rounded up; NV12: Y (H, W) and UV (H/2, W/2, 2). Views into the
        decoder's memory, with its row stride: not contiguous, not to be written to.
    full_range: 0 to 255, not 16 to 235.
    """

    layout: Literal["I420", "NV12"]
    arrays: tuple[NDArray[np.uint8], ...]
    matrix: Literal["bt601", "bt709", "bt2020"]
    full_range: bool
