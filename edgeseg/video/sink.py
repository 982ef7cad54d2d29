"""What takes results: one contract for videos, folders of images or masks, JSON lines, a window and nothing."""

from __future__ import annotations

import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, TypeAlias, TypeVar

from edgeseg.errors import FileProblem, UnknownNameError
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.video import SINKS
from edgeseg.video.address import Address, split_options
from edgeseg.video.result import Result
from edgeseg.video.source import SourceInfo

VIDEO_ENDINGS = (".mp4", ".mkv", ".mov", ".avi", ".webm")
Self = TypeVar("Self", bound="FrameSink")
Wants: TypeAlias = Literal["overlay", "prediction", "both"]


class StopStream(Exception):  # noqa: N818 - no error: the person at the window has seen enough
    """Raised by `FrameSink.write` when the stream is to end, behind a frame that was taken."""


class FrameSink(ABC):
    """Takes results. What was written is whole after `close`, however the stream ended.

    wants: what it reads of a `Result`: its overlay, its prediction alone, or both. Only where a sink wants an overlay
    is one rendered. place: the file, folder or pattern that it writes to; None where it writes nothing. notes: what the
    user should know about the files, one line each.
    """

    wants: ClassVar[Wants] = "overlay"
    notes: tuple[str, ...] = ()

    def __init__(self, name: str, place: Path | None = None) -> None:
        self.name = name
        self.place = place
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

    def would_overwrite(self) -> list[Path]:
        """The files that are there already and that writing may replace."""
        return [self.place] if self.place is not None and self.place.exists() else []

    def files(self) -> tuple[Path, ...]:
        """What it has left on disk, complete after `close`: files, or the folder that holds them."""
        return (self.place,) if self.place is not None and self.frames_written else ()

    def close(self) -> None:  # noqa: B027 - a sink may have nothing to finish
        """Finish what was written. Closing twice is no error."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_sink(
    uri: str | Path, info: SourceInfo | None = None, *, inputs: Sequence[Path] = (), overwrite: bool = False
) -> FrameSink:
    """The sink that `uri` names.

    A video file; a folder (`masks/`), which gets one label image a frame; a pattern (`out/%06d.jpg`) or `images:out/`
    for overlays as images; `out.jsonl`; `window`; `null`. info: of the source, for the rate. inputs: the files that the
    source reads, which are never overwritten. overwrite: other files that are there already may be. FileProblem
    (ES-FILE-SAME, ES-FILE-EXISTS) otherwise. Nothing is written before the first result.
    """
    address = sink_address_from_uri(uri)
    sink: FrameSink = importlib.import_module(SINKS[address.kind]).sink_from_address(address, info)
    check_outputs(sink, inputs, overwrite=overwrite)
    return sink


def open_sinks(
    uris: Sequence[str | Path], info: SourceInfo | None = None, *, inputs: Sequence[Path] = (), overwrite: bool = False
) -> list[FrameSink]:
    """The sinks that `uris` name, each as `open_sink` opens it. FileProblem (ES-FILE-SAME) where two share a place."""
    sinks = [open_sink(uri, info, inputs=inputs, overwrite=overwrite) for uri in uris]
    for index, sink in enumerate(sinks):
        for other in sinks[:index]:
            if sink.place is not None and other.place is not None and _meet(sink.place, other.place):
                message = f"two outputs would write to the same place: {other.name} and {sink.name}"
                raise FileProblem(message, hint="give each a place of its own with -o", code="ES-FILE-SAME")
    return sinks


def _meet(a: Path, b: Path) -> bool:
    """Whether two places are the same, or one is the folder that the other, a pattern, writes to."""
    a, b = a.resolve(), b.resolve()
    return a == b or (a == b.parent and a.suffix == "") or (b == a.parent and b.suffix == "")


def check_outputs(sink: FrameSink, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """FileProblem where `sink` would overwrite a file of `inputs`, or unless `overwrite` any other one."""
    taken = {path.resolve() for path in inputs}
    present = sink.would_overwrite()
    for path in present:
        if path.resolve() in taken:
            message = f"{sink.name} would overwrite {path}, which is read"
            raise FileProblem(message, hint="name another place with -o", code="ES-FILE-SAME")
    if present and not overwrite:
        what = f"{present[0]}" + (f" and {len(present) - 1} more" if len(present) > 1 else "")
        raise FileProblem(
            f"{what} would be overwritten", hint="add --overwrite, or name another place", code="ES-FILE-EXISTS"
        )


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
