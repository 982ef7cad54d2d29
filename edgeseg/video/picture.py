"""From a decoded picture to upright RGB with square pixels."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
import cv2
import numpy as np

from edgeseg.pixels.planes import Planes
from edgeseg.video.frame import Pixels

MATRICES: dict[int, Literal["bt601", "bt709", "bt2020"]] = {1: "bt709", 2: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020"}


@dataclass(frozen=True)
class Geometry:
    """How the decoded pictures of one video become upright ones: first stretched, then transposed, then mirrored.

    width, height: stretched to square pixels, not yet turned. mirror: the axes to turn round, 0 rows and 1 columns.
    """

    width: int
    height: int
    transpose: bool = False
    mirror: tuple[int, ...] = ()

    @classmethod
    def from_picture(cls, picture: av.VideoFrame, pixel_aspect: Fraction | None) -> Geometry:
        """The geometry of a video from its first picture; rows are never dropped, so only the width is stretched.

        A display matrix [[a, b], [c, d]] takes (x, y) to (ax + cy, bx + dy), in 16.16 fixed point (ISO 14496-12).
        """
        aspect = pixel_aspect if pixel_aspect and 0.1 < pixel_aspect < 10 else Fraction(1)
        width = max(1, round(picture.width * aspect))
        matrix = picture.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return cls(width, picture.height)
        a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), "=i4")[:5])
        transpose = abs(b) > abs(a)
        down, across = (b, c) if transpose else (d, a)
        return cls(width, picture.height, transpose, (0,) * (down < 0) + (1,) * (across < 0))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the upright picture."""
        return (self.width, self.height) if self.transpose else (self.height, self.width)

    def rgb_from_picture(self, picture: av.VideoFrame) -> Pixels:
        """Upright RGB, (H, W, 3). Where the video does not name its matrix it is BT.601, as FFmpeg and OpenCV do.

        Without a turn it lies in FFmpeg's memory, which the array keeps alive.
        """
        # A converter of its own per picture costs 0.1 ms and can be called from any thread.
        plane = picture.reformat(width=self.width, height=self.height, format="rgb24", threads=1).planes[0]
        rgb: Any = np.frombuffer(plane, np.uint8).reshape(self.height, plane.line_size)
        rgb = rgb[:, : 3 * self.width].reshape(self.height, self.width, 3)
        if self.transpose:
            rgb = cv2.transpose(rgb)
        if self.mirror:
            rgb = cv2.flip(rgb, -1 if len(self.mirror) == 2 else self.mirror[0])
        return np.ascontiguousarray(rgb)

    def planes_from_picture(self, picture: av.VideoFrame) -> Planes | None:
        """The decoder's planes, where they are I420 or NV12 and already upright and square."""
        layout: Literal["I420", "NV12"] = "NV12" if picture.format.name == "nv12" else "I420"
        as_shown = (picture.height, picture.width) == (self.height, self.width) and not (self.transpose or self.mirror)
        if picture.format.name not in ("yuv420p", "yuvj420p", "nv12") or not as_shown:
            return None
        if picture.colorspace not in MATRICES:
            return None
        arrays = tuple(
            _array_from_plane(plane, 2 if layout == "NV12" and n else 1) for n, plane in enumerate(picture.planes)
        )
        full_range = picture.format.name == "yuvj420p" or picture.color_range == 2
        return Planes(layout, arrays, MATRICES[picture.colorspace], full_range)


def _array_from_plane(plane: Any, channels: int) -> Pixels:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width * channels]
    rows.flags.writeable = False
    return rows if channels == 1 else rows.reshape(plane.height, plane.width, channels)
