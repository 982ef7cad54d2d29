"""A decoded image with separate luma and chroma planes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Matrix: TypeAlias = Literal["bt601", "bt709", "bt2020"]

KR_KB: dict[Matrix, tuple[float, float]] = {  # ITU-R, of luma
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}
ONE = 1 << 20


@dataclass(frozen=True)
class Planes:
    """A decoded YUV image.

    arrays: I420: Y (H, W), U and V (H/2, W/2), halves rounded up; NV12: Y (H, W) and UV (H/2, W/2, 2). Views into the
        decoder's memory, with its row stride: not contiguous, not to be written to.
    full_range: 0 to 255, not 16 to 235. memory: of I420 whose planes lie one behind the other.
    """

    layout: Literal["I420", "NV12"]
    arrays: tuple[NDArray[np.uint8], ...]
    matrix: Matrix
    full_range: bool
    memory: NDArray[np.uint8] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.arrays[0].shape[0], self.arrays[0].shape[1]

    def i420(self) -> Planes:
        """The same image as I420; only chroma that is interleaved is copied."""
        if self.layout == "I420":
            return self
        luma, chroma = self.arrays
        u, v = (np.ascontiguousarray(chroma[..., n]) for n in range(2))
        return dataclasses.replace(self, layout="I420", arrays=(luma, u, v))


def half(side: int) -> int:
    """The number of chroma samples along a side of `side` pixels."""
    return (side + 1) // 2


def rgb_factors(matrix: Matrix, full_range: bool) -> tuple[int, int, int, int, int, int]:
    """The luma of black; then in 1/2^20: luma, red of v, green of u and v (subtracted), blue of u."""
    kr, kb = KR_KB[matrix]
    kg = 1 - kr - kb
    black, luma, chroma = (0, 1.0, 1.0) if full_range else (16, 255 / 219, 255 / 224)
    red_v, blue_u = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
    factors = (luma, red_v, blue_u * kb / kg, red_v * kr / kg, blue_u)
    luma_20, red_v_20, green_u_20, green_v_20, blue_u_20 = (round(factor * ONE) for factor in factors)
    return black, luma_20, red_v_20, green_u_20, green_v_20, blue_u_20


def yuv_from_rgb(rgb: NDArray[np.uint8], matrix: Matrix, full_range: bool) -> NDArray[np.float64]:
    """Colours (..., 3) in YUV, not rounded."""
    kr, kb = KR_KB[matrix]
    black, luma_range, chroma_range = (0, 255, 255) if full_range else (16, 219, 224)
    red, green, blue = np.moveaxis(rgb / 255, -1, 0)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    u, v = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    return np.stack([black + luma_range * luma, 128 + chroma_range * u, 128 + chroma_range * v], -1)
