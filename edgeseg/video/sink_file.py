"""A video file as a sink, encoded by FFmpeg through PyAV."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

import av

from edgeseg.errors import FileProblem, UnavailableError
from edgeseg.files import sync_to_disk, writable_folder
from edgeseg.video.address import Address
from edgeseg.video.audio import AudioCopy
from edgeseg.video.encoder import DEFAULT_ENCODERS, STATE_COLORS, check_encoder, default_encoder
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink
from edgeseg.video.source import SourceInfo
from edgeseg.video.writer import DEFAULT_FPS, TICK, VideoWriter

logger = logging.getLogger(__name__)

# Each half second goes to the disk, so that what a full disk or a killed process leaves can be played up to there.
# An MP4 is fragmented until it is closed; without delay_moov its first frame would lose its time.
FRAGMENTS = {"movflags": "+hybrid_fragmented+delay_moov", "frag_duration": "500000", "flush_packets": "1"}
CLUSTERS = {"cluster_time_limit": "500", "flush_packets": "1"}
CONTAINER_OPTIONS = {".mp4": FRAGMENTS, ".mov": FRAGMENTS, ".mkv": CLUSTERS, ".webm": CLUSTERS}
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class FileSink(FrameSink):
    """Writes overlays at the times of their frames, gaps included; AVI has no timestamps, so its times are rounded.

    The file appears when the sink is closed; without a frame there is none. Until then it is `out.partial-PID.mp4`,
    which can be played, too, and which a killed process leaves behind; of an MP4, MOV, MKV or WebM at most the last
    second is missing. The sound of a file is copied. An odd width or height grows by one. A frame whose size differs
    from the first one's is scaled to it.
    """

    repeats: ClassVar[bool] = True

    def __init__(self, path: Path, encoder: str, fps: Fraction, audio: Path | None = None) -> None:
        """audio: a file whose sound is copied, as far as there are frames, where the file format can hold its codec."""
        super().__init__(str(path), path)
        self.wants = "video" if encoder in STATE_COLORS else "overlay"
        self._audio_path = audio
        self._audio: AudioCopy | None = None
        self._path, self._encoder, self._fps = path, encoder, fps
        self._partial = path.with_name(f"{path.stem}.partial-{os.getpid()}{path.suffix}")
        self._writer: VideoWriter | None = None
        self._has_failed = False

    def _write(self, result: Result) -> bool:
        try:
            if self._writer is None:
                self._begin(result)
            else:
                self._writer.write(result.overlay_for_video(), self._seconds(result.frame))
        except (av.FFmpegError, OSError) as problem:
            self._has_failed = True
            raise self._failed(problem) from problem
        return True

    def _begin(self, result: Result) -> None:
        """Open the file and write the first frame; without sound where the container refuses the packets."""
        with contextlib.suppress(av.FFmpegError, OSError):
            self._audio = AudioCopy(self._audio_path) if self._audio_path else None
        self._writer = self._opened_writer(result.frame.size)
        try:
            self._writer.write(result.overlay_for_video(), self._seconds(result.frame))
        except (av.FFmpegError, OSError):
            if not self._writer.copies_audio:
                raise
            self._writer.abandon()
            self._close_audio()
            self._writer = self._opened_writer(result.frame.size)
            self._writer.write(result.overlay_for_video(), self._seconds(result.frame))
        self.copies_audio = self._writer.copies_audio

    def _close_audio(self) -> None:
        audio, self._audio = self._audio, None
        if audio is not None:
            if audio.starts_anew:
                self.notes += (f"{self.name}: sound is missing where the times of the source start anew",)
            audio.close()

    def _seconds(self, frame: Frame) -> float:
        """The time of `frame` in the file."""
        return frame.pts_seconds

    def _opened_writer(self, size: tuple[int, int]) -> VideoWriter:
        suffix = self._path.suffix.lower()
        tick = 1 / self._fps if suffix == ".avi" else TICK
        options = CONTAINER_OPTIONS.get(suffix)
        return VideoWriter(
            f"file:{self._partial}", size, self._encoder, self._fps, options=options, tick=tick, audio=self._audio
        )

    def _failed(self, problem: Exception) -> UnavailableError | FileProblem:
        reason = getattr(problem, "strerror", None) or str(problem)
        if not self.frames_written and getattr(problem, "errno", None) not in DISK_ERRORS:
            message = f"the encoder {self._encoder} cannot write {self.name}: {reason}"
            return UnavailableError(message, hint=f"write {self.name}?encoder=mpeg4, or an .mkv", code="ES-ENCODER")
        playable = f"; its first {self.frames_written} frames can be played, except for the last few"
        message = f"cannot write {self.name}: {reason}{playable if self.frames_written else ''}"
        return FileProblem(message, hint="free space, or name another place with -o", code="ES-FILE-WRITE")

    def close(self) -> None:
        """Flush the encoder and move the file to its final name; after an error of `write`, with what is in it."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            if self.frames_written and not self._has_failed:
                writer.finish()
                sync_to_disk(self._partial)
        except (av.FFmpegError, OSError) as problem:
            raise self._failed(problem) from problem
        finally:
            writer.abandon()
            self._close_audio()
            if self.frames_written:
                self._partial.replace(self._path)
            else:
                self._partial.unlink(missing_ok=True)


def sink_from_address(address: Address, info: SourceInfo | None) -> FileSink:
    """A video file; option: encoder (libx264, or any other that this FFmpeg has)."""
    address.check_options(["encoder"])
    path = Path(address.place)
    encoder = address.options.get("encoder") or default_encoder(path.suffix)
    check_encoder(encoder, path.suffix)
    if path.is_dir():
        raise FileProblem(f"this is a folder, not a file: {path}", hint="name a file in it")
    writable_folder(path.parent)
    sink = FileSink(path, encoder, info.fps if info else DEFAULT_FPS, info.audio if info else None)
    if encoder == "mpeg4" and "encoder" not in address.options and path.suffix.lower() not in DEFAULT_ENCODERS:
        sink.notes = (f"{path}: MPEG-4 Part 2, which browsers do not play: no H.264 encoder opens here",)
    logger.info("%s: encoder %s", path, encoder)
    return sink
