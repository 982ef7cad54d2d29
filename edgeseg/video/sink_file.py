"""A video file as a sink, encoded by FFmpeg through PyAV."""

from __future__ import annotations

import contextlib
import io
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from edgeseg.errors import FileProblem, UnavailableError, UnknownNameError
from edgeseg.files import writable_folder
from edgeseg.video.address import Address
from edgeseg.video.frame import Pixels
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink
from edgeseg.video.source import SourceInfo

DEFAULT_FPS = Fraction(25)
TICK = Fraction(1, 60_000)  # holds 24, 25, 30 and 60 fps; MPEG-4 stops at 1/65535
QUALITY = {
    "mpeg4": {"qmin": "3", "qmax": "3"},
    "libx264": {"preset": "ultrafast", "crf": "20"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "20M"},
}
ENCODERS = ("mpeg4", "libx264", "libx265", "libvpx", "libsvtav1", "ffv1", "h264_nvenc", "hevc_nvenc", "h264_v4l2m2m")
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi", ".webm": "webm"}
DEFAULT_ENCODER = {".webm": "libvpx"}
# Fragments until the file is closed, an ordinary MP4 then: what a full disk or a killed process leaves can be played.
FRAGMENTS = {"movflags": "+hybrid_fragmented+delay_moov"}  # delayed: the first frame keeps its time


class FileSink(FrameSink):
    """Writes overlays at their frames' own times, gaps included; AVI, which knows no times, rounds them to the rate.

    The file appears when the sink is closed; there is none if no frame came. Until then it is `out.partial-PID.mp4`,
    which can be played, too, and is what a killed process leaves. Odd sizes get a row or a column more, a copy of the
    last one, for the colours are stored at half the size. A frame of another size than the first one is scaled to it.
    BT.601, limited range.
    """

    def __init__(self, path: Path, encoder: str, fps: Fraction) -> None:
        super().__init__(str(path), path)
        self._path, self._encoder, self._fps = path, encoder, fps
        self._partial = path.with_name(f"{path.stem}.partial-{os.getpid()}{path.suffix}")
        self._tick = 1 / fps if path.suffix.lower() == ".avi" else TICK
        self._container: Any = None
        self._stream: Any = None
        self._size: tuple[int, int] | None = None
        self._last = -1

    def _write(self, result: Result) -> bool:
        try:
            if self._container is None:
                self._start(*even_size(result.frame.size))
                self._size = result.frame.size
            self._container.mux(self._stream.encode(self._picture_from_result(result)))
        except (av.FFmpegError, OSError) as problem:
            raise self._failed(problem) from problem
        return True

    def _start(self, height: int, width: int) -> None:
        fragments = FRAGMENTS if self._path.suffix.lower() in (".mp4", ".mov") else {}
        self._container = av.open(f"file:{self._partial}", "w", options=fragments)
        stream = self._container.add_stream(self._encoder, rate=self._fps, options=QUALITY.get(self._encoder, {}))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = self._tick
        stream.codec_context.thread_count = 0  # as many as there are cores
        self._stream = stream

    def _picture_from_result(self, result: Result) -> av.VideoFrame:
        assert result.overlay is not None and self._size is not None  # `wants` asks for it
        overlay = result.overlay
        if result.frame.size != self._size:
            overlay = np.asarray(cv2.resize(overlay, self._size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        i420 = i420_from_rgb(overlay)
        make = (
            av.VideoFrame.from_numpy_buffer if i420.size > 6 else av.VideoFrame.from_ndarray
        )  # PyAV: 2x2 gets no height
        picture = make(i420, format="yuv420p")
        self._last = max(self._last + 1, round(Fraction(result.frame.pts_seconds) / self._tick))
        picture.pts, picture.time_base, picture.duration = self._last, self._tick, round(1 / self._fps / self._tick)
        picture.colorspace, picture.color_range = Colorspace.ITU601, ColorRange.MPEG
        return picture

    def _failed(self, problem: Exception) -> UnavailableError | FileProblem:
        reason = getattr(problem, "strerror", None) or str(problem)
        if not self.frames_written:
            message = f"the encoder {self._encoder} cannot make {self.name}: {reason}"
            return UnavailableError(message, hint="leave ?encoder= away for mpeg4, or write .mkv")
        kept = f"; its first {self.frames_written} frames can be played, but for the last few"
        return FileProblem(
            f"cannot write {self.name}: {reason}{kept}", hint="free space, or name another place with -o"
        )

    def close(self) -> None:
        """Write what the encoder still holds, and move the file to its place, as far as it could be written."""
        container, self._container = self._container, None
        if container is None:
            return
        try:
            if self.frames_written:
                container.mux(self._stream.encode())
                container.close()
        except (av.FFmpegError, OSError) as problem:
            raise self._failed(problem) from problem
        finally:
            with contextlib.suppress(av.FFmpegError, OSError):
                container.close()
            if self.frames_written:
                self._partial.replace(self._path)
            else:
                self._partial.unlink(missing_ok=True)


def even_size(size: tuple[int, int]) -> tuple[int, int]:
    """(H, W), each made even by adding one."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def i420_from_rgb(rgb: Pixels) -> Pixels:
    """(H, W, 3) as I420, (H * 3 / 2, W) uint8, BT.601 limited range; an odd last row or column is doubled."""
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        rgb = np.pad(rgb, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    i420: Pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)
    return i420


def _check_encoder(encoder: str, path: Path) -> None:
    """Refuse an encoder that FFmpeg does not have, and one that the kind of file does not take."""
    try:
        av.codec.Codec(encoder, "w")
    except av.codec.codec.UnknownCodecError:
        known = [name for name in av.codec.codecs_available if name in ENCODERS]
        raise UnknownNameError.among("encoder", encoder, known) from None
    kind = FORMATS.get(path.suffix.lower(), "")
    if kind and encoder not in av.open(io.BytesIO(), "w", format=kind).supported_codecs:
        hint = "leave ?encoder= away, or write .mkv"
        raise UnavailableError(f"{path.suffix} files hold no {encoder}", hint=hint, code="ES-ENCODER")


def sink_from_address(address: Address, info: SourceInfo | None) -> FileSink:
    """A video file; option: encoder (mpeg4, or any that this FFmpeg has)."""
    address.check_options(["encoder"])
    path = Path(address.place)
    encoder = address.options.get("encoder", DEFAULT_ENCODER.get(path.suffix.lower(), "mpeg4"))
    _check_encoder(encoder, path)
    if path.is_dir():
        raise FileProblem(f"this is a folder, not a file: {path}", hint="name a file in it")
    writable_folder(path.parent)
    return FileSink(path, encoder, info.fps if info else DEFAULT_FPS)
