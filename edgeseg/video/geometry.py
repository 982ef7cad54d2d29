"""From a decoded image to upright RGB with square pixels."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer

from edgeseg.pixels.planes import Matrix, Planes
from edgeseg.pixels.yuv import rgb_from_planes
from edgeseg.video.frame import Pixels

MATRICES: dict[int, Matrix] = {1: "bt709", 2: "bt601", 5: "bt601", 6: "bt601", 9: "bt2020"}


@dataclass(frozen=True)
class Geometry:
    """How to make the decoded images of one video upright: stretch, then transpose, then mirror.

    width, height: after stretching to square pixels, before rotation. mirror: the axes to flip, 0 rows and 1 columns.
    """

    width: int
    height: int
    transpose: bool = False
    mirror: tuple[int, ...] = ()

    @classmethod
    def from_image(cls, image: av.VideoFrame, pixel_aspect: Fraction | None) -> Geometry:
        """The geometry of a video from its first image; only the width is stretched, so that no row is dropped.

        A display matrix [[a, b], [c, d]] maps (x, y) to (ax + cy, bx + dy), in 16.16 fixed point (ISO 14496-12).
        """
        aspect = pixel_aspect if pixel_aspect and 0.1 < pixel_aspect < 10 else Fraction(1)
        width = max(1, round(image.width * aspect))
        # image.side_data makes a cycle: the pixels are freed at the next garbage collection then, and not before.
        container: Any = SideDataContainer
        matrix = container(image).get("DISPLAYMATRIX")
        if matrix is None:
            return cls(width, image.height)
        a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(matrix), "=i4")[:5])
        transpose = abs(b) > abs(a)
        down, across = (b, c) if transpose else (d, a)
        return cls(width, image.height, transpose, (0,) * (down < 0) + (1,) * (across < 0))

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the upright image."""
        return (self.width, self.height) if self.transpose else (self.height, self.width)

    def rgb_from_image(self, image: av.VideoFrame) -> Pixels:
        """Upright RGB, (H, W, 3). Where the video does not state its matrix it is BT.601, as in FFmpeg and OpenCV.

        Planes are converted by `rgb_from_planes`, other images by FFmpeg.
        """
        if (planes := self.planes_from_image(image)) is not None:
            return rgb_from_planes(planes)
        # A new converter per image costs 0.1 ms and is safe in any thread.
        plane = image.reformat(width=self.width, height=self.height, format="rgb24", threads=1).planes[0]
        rgb: Any = np.frombuffer(plane, np.uint8).reshape(self.height, plane.line_size)
        rgb = rgb[:, : 3 * self.width].reshape(self.height, self.width, 3)
        if self.transpose:
            rgb = cv2.transpose(rgb)
        if self.mirror:
            rgb = cv2.flip(rgb, -1 if len(self.mirror) == 2 else self.mirror[0])
        return np.ascontiguousarray(rgb)

    def planes_from_image(self, image: av.VideoFrame) -> Planes | None:
        """The decoder's planes, if they are I420 or NV12, upright and with square pixels."""
        layout: Literal["I420", "NV12"] = "NV12" if image.format.name == "nv12" else "I420"
        is_upright = (image.height, image.width) == (self.height, self.width) and not (self.transpose or self.mirror)
        if image.format.name not in ("yuv420p", "yuvj420p", "nv12") or not is_upright:
            return None
        if image.colorspace not in MATRICES:
            return None
        arrays = tuple(
            _array_from_plane(plane, 2 if layout == "NV12" and n else 1) for n, plane in enumerate(image.planes)
        )
        full_range = image.format.name == "yuvj420p" or image.color_range == 2
        return Planes(layout, arrays, MATRICES[image.colorspace], full_range)


def _array_from_plane(plane: Any, channels: int) -> Pixels:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width * channels]
    rows.flags.writeable = False
    return rows if channels == 1 else rows.reshape(plane.height, plane.width, channels)
