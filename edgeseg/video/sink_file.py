"""A video file as a sink, encoded by FFmpeg through PyAV."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import os
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

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

logger = logging.getLogger(__name__)

DEFAULT_FPS = Fraction(25)
TICK = Fraction(1, 60_000)  # holds 24, 25, 30 and 60 fps; MPEG-4 stops at 1/65535
OPTIONS = {
    "mpeg4": {"qmin": "3", "qmax": "3"},
    # ultrafast takes the CPU time of mpeg4 and writes smaller files; veryfast takes four to five times as much.
    "libx264": {"preset": "ultrafast", "crf": "20"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "20M"},
}
H264_ENCODERS = ("libx264", "h264_videotoolbox", "h264_nvenc", "h264_v4l2m2m", "h264_qsv")
ENCODERS = (*H264_ENCODERS, "mpeg4", "libx265", "libvpx", "libsvtav1", "ffv1", "hevc_nvenc")
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi", ".webm": "webm"}
# By default the first one that opens on this machine. FFmpeg writes H.264 to AVI, but few players read it.
DEFAULT_ENCODERS = {".webm": ("libvpx",), ".avi": ("mpeg4",)}
# The file is fragmented until it is closed, so that what a full disk or a killed process leaves can be played.
# Without delay_moov the first frame would lose its time.
FRAGMENTS = {"movflags": "+hybrid_fragmented+delay_moov"}


class FileSink(FrameSink):
    """Writes overlays at the times of their frames, gaps included; AVI has no timestamps, so its times are rounded.

    The file appears when the sink is closed; without a frame there is none. Until then it is `out.partial-PID.mp4`,
    which can be played, too, and which a killed process leaves behind. Colour is stored at half the size, so an odd
    width or height grows by one, a copy of the last column or row. A frame whose size differs from the first one's is
    scaled to it. BT.601, limited range.
    """

    repeats: ClassVar[bool] = True

    def __init__(self, path: Path, encoder: str, fps: Fraction) -> None:
        super().__init__(str(path), path)
        self._path, self._encoder, self._fps = path, encoder, fps
        self._partial = path.with_name(f"{path.stem}.partial-{os.getpid()}{path.suffix}")
        self._tick = 1 / fps if path.suffix.lower() == ".avi" else TICK
        self._container: Any = None
        self._stream: Any = None
        self._size: tuple[int, int] | None = None
        self._last_pts = -1

    def _write(self, result: Result) -> bool:
        try:
            if self._container is None:
                self._open_container(*even_size(result.frame.size))
                self._size = result.frame.size
            self._container.mux(self._stream.encode(self._video_frame(result)))
        except (av.FFmpegError, OSError) as problem:
            raise self._failed(problem) from problem
        return True

    def _open_container(self, height: int, width: int) -> None:
        fragments = FRAGMENTS if self._path.suffix.lower() in (".mp4", ".mov") else {}
        self._container = av.open(f"file:{self._partial}", "w", options=fragments)
        stream = self._container.add_stream(self._encoder, rate=self._fps, options=OPTIONS.get(self._encoder, {}))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        codec = stream.codec_context
        codec.time_base = self._tick
        codec.thread_count = 0  # one per core
        codec.colorspace, codec.color_range = Colorspace.ITU601, ColorRange.MPEG
        if self._encoder in H264_ENCODERS:  # a fragment ends at a key frame: a killed process loses one second at most
            codec.gop_size = max(1, round(self._fps))
        self._stream = stream

    def _video_frame(self, result: Result) -> av.VideoFrame:
        assert result.overlay is not None and self._size is not None  # `wants` asks for it
        overlay = result.overlay
        if result.frame.size != self._size:
            overlay = np.asarray(cv2.resize(overlay, self._size[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
        i420 = i420_from_rgb(overlay)
        # PyAV gives the buffer of a 2x2 frame no height, so that one is copied.
        from_array = av.VideoFrame.from_numpy_buffer if i420.size > 6 else av.VideoFrame.from_ndarray
        frame = from_array(i420, format="yuv420p")
        self._last_pts = max(self._last_pts + 1, round(Fraction(result.frame.pts_seconds) / self._tick))
        frame.pts, frame.time_base, frame.duration = self._last_pts, self._tick, round(1 / self._fps / self._tick)
        frame.colorspace, frame.color_range = Colorspace.ITU601, ColorRange.MPEG
        return frame

    def _failed(self, problem: Exception) -> UnavailableError | FileProblem:
        reason = getattr(problem, "strerror", None) or str(problem)
        if not self.frames_written:
            message = f"the encoder {self._encoder} cannot write {self.name}: {reason}"
            return UnavailableError(message, hint=f"write {self.name}?encoder=mpeg4, or an .mkv", code="ES-ENCODER")
        playable = f"; its first {self.frames_written} frames can be played, except for the last few"
        return FileProblem(
            f"cannot write {self.name}: {reason}{playable}", hint="free space, or name another place with -o"
        )

    def close(self) -> None:
        """Flush the encoder and move the file to its final name, as far as it could be written."""
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
    """Refuse an encoder that this FFmpeg lacks, or that the file format cannot hold."""
    try:
        av.codec.Codec(encoder, "w")
    except av.codec.codec.UnknownCodecError:
        known = [name for name in av.codec.codecs_available if name in ENCODERS]
        raise UnknownNameError.among("encoder", encoder, known) from None
    file_format = FORMATS.get(path.suffix.lower(), "")
    if file_format and encoder not in av.open(io.BytesIO(), "w", format=file_format).supported_codecs:
        message, hint = f"{path.suffix} files cannot hold {encoder}", "leave ?encoder= out, or write .mkv"
        raise UnavailableError(message, hint=hint, code="ES-ENCODER")


@functools.cache
def _encoder_opens(encoder: str) -> bool:
    """Whether this FFmpeg has the encoder and opens it: a hardware encoder may be built in without its hardware."""
    try:
        codec = av.CodecContext.create(encoder, "w")
        assert isinstance(codec, av.VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt, codec.time_base = 320, 192, "yuv420p", 1 / DEFAULT_FPS
        codec.open()
    except (av.FFmpegError, av.codec.codec.UnknownCodecError):
        return False
    return True


def default_encoder(suffix: str) -> str:
    """The encoder for files that end in `suffix`: H.264 where an encoder for it opens, else MPEG-4 Part 2."""
    candidates = DEFAULT_ENCODERS.get(suffix.lower(), H264_ENCODERS)
    return next(filter(_encoder_opens, candidates), "mpeg4" if candidates is H264_ENCODERS else candidates[0])


def sink_from_address(address: Address, info: SourceInfo | None) -> FileSink:
    """A video file; option: encoder (libx264, or any other that this FFmpeg has)."""
    address.check_options(["encoder"])
    path = Path(address.place)
    encoder = address.options.get("encoder") or default_encoder(path.suffix)
    _check_encoder(encoder, path)
    if path.is_dir():
        raise FileProblem(f"this is a folder, not a file: {path}", hint="name a file in it")
    writable_folder(path.parent)
    sink = FileSink(path, encoder, info.fps if info else DEFAULT_FPS)
    if encoder == "mpeg4" and "encoder" not in address.options and path.suffix.lower() not in DEFAULT_ENCODERS:
        sink.notes = (f"{path}: MPEG-4 Part 2, which browsers do not play: no H.264 encoder opens here",)
    logger.info("%s: encoder %s", path, encoder)
    return sink
