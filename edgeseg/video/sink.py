"""What takes results: one contract for videos, folders of images or masks, JSON lines, a window and nothing."""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, TypeAlias, TypeVar

from edgeseg.errors import UnknownNameError
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.video import SINKS
from edgeseg.video.address import Address, split_options
from edgeseg.video.result import Result
from edgeseg.video.source import SourceInfo

VIDEO_ENDINGS = (".mp4", ".mkv", ".mov", ".avi")
Self = TypeVar("Self", bound="FrameSink")
Wants: TypeAlias = Literal["overlay", "prediction", "both"]


class StopStream(Exception):  # noqa: N818 - no error: the person at the window has seen enough
    """Raised by `FrameSink.write` when the stream is to end, behind a frame that was taken."""


class FrameSink(ABC):
    """Takes results. What was written is whole after `close`, however the stream ended.

    wants: what it reads of a `Result`: its overlay, its prediction alone, or both. Only where a sink wants an overlay
    is one rendered.
    """

    wants: ClassVar[Wants] = "overlay"

    def __init__(self, name: str) -> None:
        self.name = name
        self.frames_written = 0

    def write(self, result: Result) -> None:
        """Take one result. StopStream, behind a result that was taken, to ask for no more."""
        wants_more = self._write(result)
        self.frames_written += 1
        if not wants_more:
            raise StopStream

    @abstractmethod
    def _write(self, result: Result) -> bool:
        """Take one result; whether more are wanted."""

    def files(self) -> tuple[Path, ...]:
        """What it has left on disk, complete after `close`: files, or the folder that holds them."""
        return ()

    def close(self) -> None:  # noqa: B027 - a sink may have nothing to finish
        """Finish what was written. Closing twice is no error."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sink(uri: str | Path, info: SourceInfo) -> FrameSink:
    """The sink that `uri` names.

    A video file; a folder (`masks/`), which gets one label image a frame; a pattern (`out/%06d.jpg`) or `images:out/`
    for overlays as images; `out.jsonl`; `window`; `null`. info: of the source, for the rate.
    """
    address = sink_address_from_uri(uri)
    sink: FrameSink = importlib.import_module(SINKS[address.kind]).sink_from_address(address, info)
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
    if path.is_dir() or place.endswith(("/", "\\")):
        return Address("masks", place, options)
    if ending in IMAGE_ENDINGS:
        return Address("images", place, options)
    if ending == ".jsonl":
        return Address("jsonl", place, options)
    if ending not in VIDEO_ENDINGS:
        raise _no_such_ending(place, ending)
    return Address("file", place, options)


def _no_such_ending(place: str, ending: str) -> UnknownNameError:
    if ending:
        return UnknownNameError.among("output ending", ending, (*VIDEO_ENDINGS, ".jsonl"))
    problem = UnknownNameError.among("sink", place, ["window", "null"])
    if "did you mean" not in problem.hint:
        problem.hint = f"write {place}/ for a folder of label images, {place}.mp4 for a video, window or null"
    return problem
