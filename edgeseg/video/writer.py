"""One encoded video stream in a container: what video files, segments and publishing have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from fractions import Fraction
from typing import IO, Any, TypeAlias

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from edgeseg.pixels.planes import Matrix, Planes
from edgeseg.pixels.yuv import rgb_from_planes
from edgeseg.video.audio import AudioCopy
from edgeseg.video.encoder import OPTIONS
from edgeseg.video.frame import Pixels

TICK = Fraction(1, 60_000)  # holds 24, 25, 30 and 60 fps; MPEG-4 stops at 1/65535
KEY_SECONDS = 1.0
DEFAULT_FPS = Fraction(25)
Colors: TypeAlias = tuple[Matrix, bool]  # and whether they have full range
RGB_COLORS: Colors = ("bt601", False)
COLORSPACES: dict[Matrix, Colorspace] = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}
RANGES = {False: ColorRange.MPEG, True: ColorRange.JPEG}


class VideoWriter:
    """Encodes images and writes them to a container, at their times.

    They are stored as BT.601 in limited range, or with the matrix and range of the first image, if that has planes.

    Colour is stored at half the size, so an odd width or height grows by one, a copy of the last column or row. An
    image whose size differs from the first one's is scaled to it. Each second of the video begins with a key frame, at
    any frame rate. Errors are those of FFmpeg and the system.
    """

    def __init__(
        self,
        target: str | IO[bytes],
        size: tuple[int, int],
        encoder: str,
        fps: Fraction,
        *,
        file_format: str | None = None,
        options: Mapping[str, str] | None = None,
        encoder_options: Mapping[str, str] | None = None,
        tick: Fraction = TICK,
        audio: AudioCopy | None = None,
    ) -> None:
        """size: (H, W) of the images. options: of the container. tick: the unit of times. audio: copied, too."""
        self._size, self._fps, self._tick = size, fps, tick
        self._last_pts, self._next_key = -1, 0
        self._colors: Colors | None = None
        self._container: Any = av.open(target, "w", format=file_format, options=dict(options or {}))
        codec_options = {**OPTIONS.get(encoder, {}), **(encoder_options or {})}
        stream = self._container.add_stream(encoder, rate=fps, options=codec_options)
        (stream.height, stream.width), stream.pix_fmt = even_size(size), "yuv420p"
        codec = stream.codec_context
        codec.time_base = tick
        codec.thread_count = 0  # one per core
        codec.gop_size = max(1, round(fps * Fraction(KEY_SECONDS)))
        self._stream = stream
        self._audio = audio if audio is not None and audio.add_to(self._container) else None

    @property
    def copies_audio(self) -> bool:
        """Whether the container can hold the sound."""
        return self._audio is not None

    def write(self, image: Pixels | Planes, seconds: float) -> None:
        """Encode rgb (H, W, 3) or planes. A time that is not later than the last one becomes one tick later."""
        packets = self._stream.encode(self._video_frame(image, seconds))
        self._copy_audio(seconds + float(1 / self._fps))
        self._container.mux(packets)

    def _copy_audio(self, seconds: float) -> None:
        if self._audio is not None:
            for packet in self._audio.packets_until(seconds):
                self._container.mux(packet)

    def finish(self) -> None:
        """Flush the encoder, write the end of the container and close it."""
        self._container.mux(self._stream.encode())
        self._container.close()

    def abandon(self) -> None:
        """Close the container after an error, as far as that is possible."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    def _video_frame(self, image: Pixels | Planes, seconds: float) -> av.VideoFrame:
        if self._colors is None:
            self._colors = RGB_COLORS
            if isinstance(image, Planes) and image.matrix in COLORSPACES:
                self._colors = image.matrix, image.full_range
            codec = self._stream.codec_context
            codec.colorspace, codec.color_range = COLORSPACES[self._colors[0]], RANGES[self._colors[1]]
        i420 = self._i420(image, self._colors)
        # PyAV rounds the height of a buffer down to a multiple of 4, and takes the colours from the wrong place then.
        from_array = av.VideoFrame.from_ndarray if i420.shape[0] % 6 else av.VideoFrame.from_numpy_buffer
        frame = from_array(i420, format="yuv420p")
        pts = self._last_pts = max(self._last_pts + 1, round(Fraction(seconds) / self._tick))
        frame.pts, frame.time_base, frame.duration = pts, self._tick, round(1 / self._fps / self._tick)
        frame.colorspace, frame.color_range = COLORSPACES[self._colors[0]], RANGES[self._colors[1]]
        if pts >= self._next_key:
            frame.pict_type = av.video.frame.PictureType.I
            self._next_key = pts + round(Fraction(KEY_SECONDS) / self._tick)
        return frame

    def _i420(self, image: Pixels | Planes, colors: Colors) -> Pixels:
        """`image` at the size and in the colours of the video."""
        if isinstance(image, Planes):
            fits = even_size(image.size) == image.size == self._size and (image.matrix, image.full_range) == colors
            if fits and image.memory is not None:
                return image.memory.reshape(-1, image.size[1])
            image = rgb_from_planes(image)
        if image.shape[:2] != self._size:
            image = np.asarray(cv2.resize(image, self._size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        return i420_from_rgb(image, *colors)


def even_size(size: tuple[int, int]) -> tuple[int, int]:
    """(H, W), each made even by adding one."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def i420_from_rgb(rgb: Pixels, matrix: Matrix = "bt601", full_range: bool = False) -> Pixels:
    """(H, W, 3) as I420, (H * 3 / 2, W) uint8; an odd last row or column is doubled."""
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    if (matrix, full_range) == RGB_COLORS:
        i420: Pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
        return i420
    image = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    image = image.reformat(
        format="yuv420p", dst_colorspace=COLORSPACES[matrix], dst_color_range=RANGES[full_range], threads=1
    )
    planar: Pixels = image.to_ndarray()
    return planar
