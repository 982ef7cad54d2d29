"""What takes frames: one contract for files, folders of images, a window and nothing."""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import ClassVar, TypeVar

from edgeseg.errors import SizeError, UnknownNameError
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.video import SINKS
from edgeseg.video.address import Address, split_options
from edgeseg.video.frame import Frame
from edgeseg.video.source import SourceInfo

VIDEO_ENDINGS = (".mp4", ".mkv", ".mov", ".avi")
Self = TypeVar("Self", bound="FrameSink")


class StopStream(Exception):  # noqa: N818 - no error: the person at the window has seen enough
    """Raised by `FrameSink.write` when the stream is to end, behind a frame that was taken."""


class FrameSink(ABC):
    """Takes frames of one size. What was written is whole after `close`, however the stream ended.

    size: (H, W) of the frames; None takes that of the first one. shows: whether it looks at the frames' pixels.
    """

    shows: ClassVar[bool] = True

    def __init__(self, name: str, size: tuple[int, int] | None) -> None:
        self.name = name
        self.size = size
        self.frames_written = 0

    def write(self, frame: Frame) -> None:
        """Take one frame. SizeError where its size is not that of the first one; StopStream to ask for no more."""
        self.size = self.size or frame.size
        if frame.size != self.size:
            height, width = self.size
            raise SizeError(
                f"frame {frame.index} is {frame.width}x{frame.height}, and {self.name} takes {width}x{height}",
                hint=f"resize the frames to {width}x{height}",
            )
        wants_more = self._write(frame)
        self.frames_written += 1
        if not wants_more:
            raise StopStream

    def write_all(self, frames: Iterable[Frame]) -> int:
        """Take `frames` to their end or until the person at the window stops them; close them; say how many."""
        try:
            for frame in frames:
                self.write(frame)
        except StopStream:
            pass
        finally:
            close = getattr(frames, "close", None)
            if close is not None:
                close()
        return self.frames_written

    @abstractmethod
    def _write(self, frame: Frame) -> bool:
        """Take one frame, of the right size; whether more are wanted."""

    def close(self) -> None:  # noqa: B027 - a sink may have nothing to finish
        """Finish what was written. Closing twice is no error."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sink(uri: str | Path, info: SourceInfo, size: tuple[int, int] | None = None) -> FrameSink:
    """The sink that `uri` names: a video file, a folder (`out/`) or pattern (`out/%06d.jpg`), `window` or `null`.

    info: of the source, for the rate. size: (H, W) of the frames; None takes that of the first one.
    """
    address = sink_address_from_uri(uri)
    module = importlib.import_module(SINKS[address.kind])
    sink: FrameSink = module.sink_from_address(address, info, size)
    return sink


def sink_address_from_uri(uri: str | Path) -> Address:
    """Which kind of sink `uri` names, and where. UnknownNameError for a kind or ending that is in no table."""
    text = str(uri)
    place, options = (text, {}) if isinstance(uri, Path) else split_options(text)
    if place in ("window", "null") and not isinstance(uri, Path):
        return Address(place, place, options)
    named = re.match(r"([A-Za-z][\w+.-]+):(//)?", place)
    if named and not isinstance(uri, Path):
        if named[1] not in SINKS:
            raise UnknownNameError.among("kind of sink", named[1], SINKS)
        return Address(named[1], place[named.end() :], options)
    path, ending = Path(place), Path(place).suffix.lower()
    if path.is_dir() or place.endswith(("/", "\\")) or ending in IMAGE_ENDINGS:
        return Address("images", place, options)
    if ending not in VIDEO_ENDINGS:
        raise _no_such_ending(place, ending)
    return Address("file", place, options)


def _no_such_ending(place: str, ending: str) -> UnknownNameError:
    if ending:
        return UnknownNameError.among("video ending", ending, VIDEO_ENDINGS)
    problem = UnknownNameError.among("sink", place, ["window", "null"])
    if "did you mean" not in problem.hint:
        problem.hint = f"write {place}/ for a folder of images, {place}.mp4 for a video, window or null"
    return problem
