"""A frame: the data that sources produce."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import SizeError
from edgeseg.pixels.planes import Planes
from edgeseg.pixels.resize import resize_rgb
from edgeseg.pixels.yuv import resize_planes

Pixels = NDArray[np.uint8]


class Frame:
    """One image of a video, upright and with square pixels; converted to RGB on the first request.

    Two threads that call `rgb` at the same time get equal pixels, computed twice.
    """

    def __init__(
        self,
        index: int,
        pts_seconds: float,
        width: int,
        height: int,
        *,
        rgb: Callable[[], Pixels],
        planes: Callable[[], Planes | None] | None = None,
        captured_at: float | None = None,
        sequence: int | None = None,
        name: str = "",
    ) -> None:
        """A frame whose pixels `rgb` makes on the first request.

        index: 0 for the first frame of a source. pts_seconds: presentation time on the source's clock. captured_at:
        arrival time by `time.monotonic()`; None for a recording. sequence: the source's count, where a gap shows
        dropped frames; None for the index. name: of the image file, if any.
        """
        if index < 0 or not math.isfinite(pts_seconds):
            raise ValueError(f"a frame needs an index of at least 0 and a finite time, not {index} and {pts_seconds}")
        if width < 1 or height < 1:
            raise SizeError(f"a frame of {width}x{height} pixels", hint="give at least 1x1")
        self.index = index
        self.pts_seconds = pts_seconds
        self.width = width
        self.height = height
        self.captured_at = captured_at
        self.sequence = index if sequence is None else sequence
        self.name = name
        self._make_rgb = rgb
        self._make_planes = planes
        self._rgb: Pixels | None = None

    @classmethod
    def from_rgb(
        cls,
        index: int,
        pts_seconds: float,
        rgb: Pixels,
        *,
        captured_at: float | None = None,
        sequence: int | None = None,
        name: str = "",
    ) -> Frame:
        """A frame of an (H, W, 3) uint8 array. A contiguous array is not copied: do not write to it."""
        if rgb.ndim != 3:
            raise SizeError(f"a frame has the shape (H, W, 3), not {rgb.shape}", hint="pass one RGB image")
        height, width = rgb.shape[:2]
        frame = cls(
            index, pts_seconds, width, height, rgb=lambda: rgb, captured_at=captured_at, sequence=sequence, name=name
        )
        frame.rgb()
        return frame

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.height, self.width

    def numbered(self, index: int) -> Frame:
        """The same frame as number `index` of another source; `sequence` remains."""
        again = copy.copy(self)
        again.index = index
        return again

    def rgb(self) -> Pixels:
        """(H, W, 3) uint8, C-contiguous and read-only, because the frame keeps it. Copy it to draw on it."""
        if self._rgb is None:
            self._rgb = _checked(self._make_rgb(), (self.height, self.width, 3), "RGB of a frame")
        return self._rgb

    def planes(self) -> Planes | None:
        """The decoded YUV planes; None where there are none with the same geometry (PNG, 10 bit, rotated, RGB)."""
        return self._make_planes() if self._make_planes else None

    def resized(self, size: tuple[int, int]) -> Pixels:
        """`resize_rgb(self.rgb(), size)`: from the planes, if there are any, where that costs less."""
        planes = self.planes() if self._rgb is None else None
        return resize_rgb(self.rgb(), size) if planes is None else resize_planes(planes, size)

    def __repr__(self) -> str:
        return f"Frame({self.index}, {self.pts_seconds:.3f} s, {self.width}x{self.height})"


def _checked(pixels: Pixels, shape: tuple[int, ...], name: str) -> Pixels:
    """`pixels`, contiguous and read-only. SizeError unless they are uint8 of `shape`."""
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise SizeError(
            f"{name}: expected uint8 {shape}, got {pixels.dtype} {pixels.shape}", hint=f"convert it to uint8 {shape}"
        )
    view: Pixels = np.ascontiguousarray(pixels).view()
    view.flags.writeable = False
    return view
