"""A frame in device memory, in the layout of its source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from ctypes import Structure
from dataclasses import dataclass
from typing import ClassVar, Literal

from edgeseg.engines.tensorrt.kernels.structs import ResizeRgb, ResizeYuv

Size = tuple[int, int]
Matrix = Literal["bt601", "bt709", "bt2020"]

KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}  # ITU-R, of luma
ONE = 1 << 20


class DeviceFrame(ABC):
    """A frame that a kernel resizes to the network's size."""

    kernel: ClassVar[str]
    size: Size

    @abstractmethod
    def arguments(self, target: int, rows: int, columns: int, size: Size) -> Structure:
        """The kernel's struct. target, rows, columns: addresses of the output and the taps. size: of the output."""


@dataclass(frozen=True)
class RgbFrame(DeviceFrame):
    """Packed rgb or bgr. address: of its first byte. size: (H, W). pitch: bytes from row to row; 0: no gaps."""

    kernel: ClassVar[str] = "resize_rgb"

    address: int
    size: Size
    pitch: int = 0
    bgr: bool = False

    def arguments(self, target: int, rows: int, columns: int, size: Size) -> ResizeRgb:
        """`DeviceFrame.arguments`."""
        return ResizeRgb(self.address, target, rows, columns, self.row_bytes, *size, self.bgr)

    @property
    def row_bytes(self) -> int:
        """Bytes from row to row."""
        return self.pitch or 3 * self.size[1]


@dataclass(frozen=True)
class YuvFrame(DeviceFrame):
    """4:2:0 planes: NV12 or I420. y, u, v: the addresses of the planes' first samples.

    uv_step: bytes from one chroma sample to the next, 2 where u and v alternate. Other fields: as in `Planes`.
    """

    kernel: ClassVar[str] = "resize_yuv"

    size: Size
    y: int
    u: int
    v: int
    y_pitch: int
    uv_pitch: int
    uv_step: int
    matrix: Matrix = "bt601"
    full_range: bool = False

    @classmethod
    def nv12(cls, size: Size, y: int, uv: int, matrix: Matrix = "bt601", full_range: bool = False) -> YuvFrame:
        """Y (H, W) and UV (H/2, W/2, 2), halves rounded up, without gaps."""
        pitch = 2 * half(size[1])
        return cls(size, y, uv, uv + 1, size[1], pitch, 2, matrix, full_range)

    @classmethod
    def i420(cls, size: Size, y: int, u: int, v: int, matrix: Matrix = "bt601", full_range: bool = False) -> YuvFrame:
        """Y (H, W), U and V (H/2, W/2), halves rounded up, without gaps."""
        return cls(size, y, u, v, size[1], half(size[1]), 1, matrix, full_range)

    def arguments(self, target: int, rows: int, columns: int, size: Size) -> ResizeYuv:
        """`DeviceFrame.arguments`."""
        addresses = (self.y, self.u, self.v, target, rows, columns)
        return ResizeYuv(*addresses, self.y_pitch, self.uv_pitch, self.uv_step, *size, *self.coefficients())

    def coefficients(self) -> tuple[int, int, int, int, int, int]:
        """The luma of black; then in 1/2^20: luma, red of v, green of u and v (subtracted), blue of u."""
        kr, kb = KR_KB[self.matrix]
        kg = 1 - kr - kb
        black, luma, chroma = (0, 1.0, 1.0) if self.full_range else (16, 255 / 219, 255 / 224)
        red_v, blue_u = 2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma
        factors = (luma, red_v, blue_u * kb / kg, red_v * kr / kg, blue_u)
        luma_20, red_v_20, green_u_20, green_v_20, blue_u_20 = (round(factor * ONE) for factor in factors)
        return black, luma_20, red_v_20, green_u_20, green_v_20, blue_u_20


def half(side: int) -> int:
    """The number of chroma samples along a side of `side` pixels."""
    return (side + 1) // 2
