"""The video encoders of this machine's FFmpeg, and the one to use for a file format."""

from __future__ import annotations

import functools
import io
from fractions import Fraction

import av

from edgeseg.errors import UnavailableError, UnknownNameError

OPTIONS = {
    "mpeg4": {"qmin": "3", "qmax": "3"},
    # ultrafast takes the CPU time of mpeg4 and writes smaller files; veryfast takes four to five times as much.
    # zerolatency costs nothing beside it (200 frames of 1080p: 4.1 s of CPU with and without), and holds no frame back.
    "libx264": {"preset": "ultrafast", "crf": "20", "tune": "zerolatency"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "20M"},
}
H264_ENCODERS = ("libx264", "h264_videotoolbox", "h264_nvenc", "h264_v4l2m2m", "h264_qsv")
STATE_COLORS = ("libx264", "libx265")  # write the matrix and the range of the colours into the stream
ENCODERS = (*H264_ENCODERS, "mpeg4", "libx265", "libvpx", "libsvtav1", "ffv1", "hevc_nvenc")
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi", ".webm": "webm"}
# By default the first one that opens on this machine. FFmpeg writes H.264 to AVI, but few players read it.
DEFAULT_ENCODERS = {".webm": ("libvpx",), ".avi": ("mpeg4",)}


def default_encoder(suffix: str) -> str:
    """The encoder for files that end in `suffix`: H.264 where an encoder for it opens, else MPEG-4 Part 2."""
    candidates = DEFAULT_ENCODERS.get(suffix.lower(), H264_ENCODERS)
    return next(filter(encoder_opens, candidates), "mpeg4" if candidates is H264_ENCODERS else candidates[0])


def check_encoder(encoder: str, suffix: str) -> None:
    """Refuse an encoder that this FFmpeg lacks, or that files which end in `suffix` cannot hold."""
    try:
        av.codec.Codec(encoder, "w")
    except av.codec.codec.UnknownCodecError:
        known = [name for name in av.codec.codecs_available if name in ENCODERS]
        raise UnknownNameError.among("encoder", encoder, known) from None
    file_format = FORMATS.get(suffix.lower(), "")
    if file_format and encoder not in av.open(io.BytesIO(), "w", format=file_format).supported_codecs:
        message, hint = f"{suffix} files cannot hold {encoder}", "leave ?encoder= out, or write .mkv"
        raise UnavailableError(message, hint=hint, code="ES-ENCODER")


@functools.cache
def encoder_opens(encoder: str) -> bool:
    """Whether this FFmpeg has the encoder and opens it: a hardware encoder may be built in without its hardware."""
    try:
        codec = av.CodecContext.create(encoder, "w")
        assert isinstance(codec, av.VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt, codec.time_base = 320, 192, "yuv420p", Fraction(1, 25)
        codec.open()
    except (av.FFmpegError, av.codec.codec.UnknownCodecError):
        return False
    return True
