"""Video files of a fixed length as a sink, for recording without end; old ones are deleted."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from edgeseg.errors import UnknownNameError
from edgeseg.files import writable_folder
from edgeseg.uri import bytes_option, seconds_option
from edgeseg.video.address import Address
from edgeseg.video.encoder import STATE_COLORS, check_encoder, default_encoder
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result
from edgeseg.video.retention import Retention, SegmentPattern
from edgeseg.video.sink import VIDEO_ENDINGS, FrameSink
from edgeseg.video.sink_file import FileSink
from edgeseg.video.source import SourceInfo
from edgeseg.video.writer import DEFAULT_FPS

logger = logging.getLogger(__name__)

SEGMENT_SECONDS = 600.0
TOLERANCE_SECONDS = 5e-4  # times of frames are rounded


class Segment(FileSink):
    """One file of a recording. It has its name from the first frame on, and its times count from that frame."""

    def __init__(self, path: Path, encoder: str, fps: Fraction) -> None:
        super().__init__(path, encoder, fps)
        self._partial = path
        self.began_at: float | None = None

    def _seconds(self, frame: Frame) -> float:
        if self.began_at is None:
            self.began_at = frame.pts_seconds
        return frame.pts_seconds - self.began_at


class SegmentsSink(FrameSink):
    """Writes overlays to files named by the time at which they begin, each of `seconds` of the video.

    Each file begins with a key frame, and its times begin at 0, because players wait where a file begins later; frames
    keep their distances. A file can be played while it is written; a killed process loses the last second of it at
    most, and a power cut the last file. Before a file begins, those that `retention` does not keep are deleted: only
    files that the pattern matches, never the one being written. Existing files are never overwritten.
    """

    repeats: ClassVar[bool] = True

    def __init__(
        self,
        pattern: SegmentPattern,
        encoder: str,
        fps: Fraction,
        seconds: float = SEGMENT_SECONDS,
        retention: Retention = Retention(),  # noqa: B008 - frozen
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(pattern.text, Path(pattern.text))
        self.wants = "video" if encoder in STATE_COLORS else "overlay"
        self._pattern, self._encoder, self._fps = pattern, encoder, fps
        self._segment_seconds, self._retention, self._now = seconds, retention, now
        self._segment: Segment | None = None

    def would_overwrite(self) -> list[Path]:
        """None: each segment gets an unused name."""
        return []

    def may_delete(self) -> list[Path]:
        """The recordings that the pattern matches."""
        return self._pattern.files() if self._retention != Retention() else []

    def files(self) -> tuple[Path, ...]:
        """The folder of the segments."""
        return (self._pattern.root,) if self.frames_written else ()

    def _write(self, result: Result) -> bool:
        if self._segment is not None and self._is_over(self._segment, result.frame.pts_seconds):
            self.close()
        if self._segment is None:
            self._segment = self._new_segment()
        self._segment.write(result)
        return True

    def _is_over(self, segment: Segment, pts_seconds: float) -> bool:
        began_at = segment.began_at
        if began_at is None:
            return False
        return pts_seconds < began_at or pts_seconds >= began_at + self._segment_seconds - TOLERANCE_SECONDS

    def _new_segment(self) -> Segment:
        now = self._now()
        for path in self._retention.expired(self._pattern.recordings(), now):
            logger.info("%s is deleted: it is older or more than what is kept", path)
            with contextlib.suppress(OSError):  # deleted meanwhile, or protected
                path.unlink()
                self._remove_empty_folders(path.parent)
        path = self._pattern.unused_path(now)
        writable_folder(path.parent)
        return Segment(path, self._encoder, self._fps)

    def _remove_empty_folders(self, folder: Path) -> None:
        """Remove `folder` and those above it that are empty, within the folder of the recording."""
        with contextlib.suppress(OSError):  # not empty
            while folder != self._pattern.root:
                folder.rmdir()
                folder = folder.parent

    def close(self) -> None:
        """Finish the last segment."""
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()


def sink_from_address(address: Address, info: SourceInfo | None) -> SegmentsSink:
    """Options: segment (length: 60s, 10m, 1h), keep (age: 12h, 7d), max_size (of all: 500M, 20G), encoder."""
    address.check_options(["segment", "keep", "max_size", "encoder"])
    suffix = Path(address.place).suffix
    if suffix.lower() not in VIDEO_ENDINGS:
        raise UnknownNameError.among("output ending", suffix, VIDEO_ENDINGS)
    pattern = SegmentPattern(address.place)
    encoder = address.options.get("encoder") or default_encoder(suffix)
    check_encoder(encoder, suffix)
    seconds = seconds_option(address.options, "segment") or SEGMENT_SECONDS
    retention = Retention(seconds_option(address.options, "keep"), bytes_option(address.options, "max_size"))
    writable_folder(pattern.root)
    return SegmentsSink(pattern, encoder, info.fps if info else DEFAULT_FPS, seconds, retention)
