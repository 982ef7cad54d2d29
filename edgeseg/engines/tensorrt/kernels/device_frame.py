"""A frame in device memory, in the layout of its source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from ctypes import Structure
from dataclasses import dataclass
from typing import ClassVar

from edgeseg.engines.tensorrt.kernels.structs import ResizeRgb, ResizeYuv
from edgeseg.pixels.planes import Matrix, half, rgb_factors

Size = tuple[int, int]


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
        return ResizeYuv(
            *addresses, self.y_pitch, self.uv_pitch, self.uv_step, *size, *rgb_factors(self.matrix, self.full_range)
        )
