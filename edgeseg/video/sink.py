"""Sinks of results: one interface for videos, folders of images or masks, JSON lines, a window and nothing."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal, TypeAlias, TypeVar

from edgeseg.errors import EdgeSegError, FileProblem, UnknownNameError
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.uri import split_kind, split_options
from edgeseg.video import SINKS
from edgeseg.video.address import Address
from edgeseg.video.result import Result
from edgeseg.video.source import FrameSource, Loss, SourceInfo

PUBLISHED = ("rtsp", "rtsps", "rtmp", "rtmps")
VIDEO_ENDINGS = (".mp4", ".mkv", ".mov", ".avi", ".webm")
Self = TypeVar("Self", bound="FrameSink")
Wants: TypeAlias = Literal["overlay", "video", "prediction", "both"]


class StopStream(Exception):  # noqa: N818 - not an error: the user closed the window
    """Raised by `FrameSink.write` to end the stream, after the result was written."""


class FrameSink(ABC):
    """Writes results. Its output is complete after `close`, however the stream ended.

    wants: what it uses of a `Result`: "overlay", "prediction" or "both"; overlays are rendered only if a sink wants
    them. "video": `Result.overlay_for_video()`, which is YUV where no other sink wants RGB. repeats: while a live
    source is silent it gets the last result again and again, marked stale. place: the file, folder or pattern that it
    writes to; None where it writes nothing. is_output: a stream ends when its last output has failed; a sink that only
    measures is none. notes: remarks for the user about the files, one line each.
    frames_written: how many it was given; frames_dropped: those of them that a server did not get. problem: why frames
    are dropped at the moment, while it goes on trying.
    copies_audio: it writes the sound of the source, too; known after the first frame.
    """

    wants: Wants = "overlay"
    repeats: ClassVar[bool] = False
    is_output: ClassVar[bool] = True
    copies_audio: bool = False
    notes: tuple[str, ...] = ()

    def __init__(self, name: str, place: Path | None = None) -> None:
        self.name = name
        self.place = place
        self.frames_written = 0
        self.frames_dropped = 0
        self.problem: EdgeSegError | None = None

    def write(self, result: Result) -> None:
        """Write one result; then raise StopStream if the stream shall end."""
        wants_more = self._write(result)
        self.frames_written += 1
        if not wants_more:
            raise StopStream

    @abstractmethod
    def _write(self, result: Result) -> bool:
        """Write one result; False ends the stream."""

    def would_overwrite(self) -> list[Path]:
        """The existing files that it may overwrite."""
        return [self.place] if self.place is not None and self.place.exists() else []

    def may_delete(self) -> list[Path]:
        """The existing files that it may delete later, to make room."""
        return []

    def files(self) -> tuple[Path, ...]:
        """Its files on disk, complete after `close`, or the folder that contains them."""
        return (self.place,) if self.place is not None and self.frames_written else ()

    def close(self) -> None:  # noqa: B027 - a sink may have nothing to finish
        """Finish the output. It may be called twice."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def has_output(sinks: Iterable[FrameSink]) -> bool:
    """Whether one of the sinks is an output, so that it is worth while to go on."""
    return any(sink.is_output for sink in sinks)


def want_overlays(sinks: Iterable[FrameSink]) -> bool:
    """Whether overlays are to be rendered."""
    return any(sink.wants != "prediction" for sink in sinks)


def want_planes(sinks: Sequence[FrameSink]) -> bool:
    """Whether overlays are for video encoders alone, so that they need no RGB."""
    return {sink.wants for sink in sinks} - {"prediction"} == {"video"}


def losses_of(source: FrameSource, sinks: Sequence[FrameSink]) -> tuple[Loss, ...]:
    """What the source could not deliver; its sound is no loss where a sink has copied it."""
    copied = any(sink.copies_audio for sink in sinks)
    return tuple(loss for loss in source.losses if not (copied and loss.code == "ES-SOURCE-AUDIO"))


def open_sink(
    uri: str | Path, info: SourceInfo | None = None, *, inputs: Sequence[Path] = (), overwrite: bool = False
) -> FrameSink:
    """Open a sink. Nothing is written before the first result.

    A video file; segments (`clips/%Y%m%d-%H%M%S.mp4?segment=10m`); a folder (`masks/`) for one label image per frame;
    a pattern (`out/%06d.jpg`) or `images:out/` for overlays as images; `out.jsonl`; a server
    (`rtsp://HOST/PATH`, `rtmp://HOST/APP/KEY`); `window`; `null`.
    info: of the source, for the frame rate.
    inputs: files of the source. FileProblem where the sink would overwrite one of them (ES-FILE-SAME), or, unless
    `overwrite`, any other file (ES-FILE-EXISTS).
    """
    address = sink_address_from_uri(uri)
    sink: FrameSink = importlib.import_module(SINKS[address.kind]).sink_from_address(address, info)
    check_outputs(sink, inputs, overwrite=overwrite)
    return sink


def open_sinks(
    uris: Sequence[str | Path], info: SourceInfo | None = None, *, inputs: Sequence[Path] = (), overwrite: bool = False
) -> list[FrameSink]:
    """Open several sinks with `open_sink`. FileProblem (ES-FILE-SAME) where two share a place."""
    sinks = [open_sink(uri, info, inputs=inputs, overwrite=overwrite) for uri in uris]
    check_places(sinks)
    return sinks


def check_places(sinks: Sequence[FrameSink]) -> None:
    """FileProblem (ES-FILE-SAME) where two sinks share a place."""
    for index, sink in enumerate(sinks):
        for other in sinks[:index]:
            if sink.place is not None and other.place is not None and _overlap(sink.place, other.place):
                message = f"two outputs would write to the same place: {other.name} and {sink.name}"
                raise FileProblem(message, hint="give each a place of its own with -o", code="ES-FILE-SAME")


def _overlap(a: Path, b: Path) -> bool:
    """Whether two places are equal, or one is the folder of the other's pattern."""
    a, b = a.resolve(), b.resolve()
    return a == b or (a == b.parent and a.suffix == "") or (b == a.parent and b.suffix == "")


def check_outputs(sink: FrameSink, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """FileProblem where `sink` would overwrite one of `inputs` or, unless `overwrite`, any other file."""
    protected = {path.resolve() for path in inputs}
    present = sink.would_overwrite()
    for path in (*present, *sink.may_delete()):
        if path.resolve() in protected:
            message = f"{sink.name} would overwrite or delete the input {path}"
            raise FileProblem(message, hint="name another place with -o", code="ES-FILE-SAME")
    if present and not overwrite:
        names = f"{present[0]}" + (f" and {len(present) - 1} more" if len(present) > 1 else "")
        raise FileProblem(
            f"{names} would be overwritten", hint="add --overwrite, or name another place", code="ES-FILE-EXISTS"
        )


def sink_address_from_uri(uri: str | Path) -> Address:
    """The kind and place of the sink `uri`. UnknownNameError for an unknown kind or ending."""
    if isinstance(uri, Path):
        return _address_of_path(str(uri), {})
    if split_kind(uri)[0] in PUBLISHED:
        return Address(split_kind(uri)[0], uri)  # the query may be the server's
    place, options = split_options(uri)
    if place in ("window", "null"):
        return Address(place, place, options)
    kind, rest = split_kind(place)
    if kind and kind not in SINKS:
        raise UnknownNameError.among("kind of sink", kind, SINKS)
    return Address(kind, rest, options) if kind else _address_of_path(place, options)


def _address_of_path(place: str, options: dict[str, str]) -> Address:
    """The sink that a path without a kind means, by its ending."""
    path, ending = Path(place), Path(place).suffix.lower()
    if path.is_dir() or place.endswith(("/", "\\")):
        return Address("masks", place, options)
    if ending in IMAGE_ENDINGS:
        return Address("images", place, options)
    if ending == ".jsonl":
        return Address("jsonl", place, options)
    if ending not in VIDEO_ENDINGS:
        raise _unknown_ending(place, ending)
    return Address("segments" if "segment" in options else "file", place, options)


def _unknown_ending(place: str, ending: str) -> UnknownNameError:
    if ending:
        return UnknownNameError.among("output ending", ending, (*VIDEO_ENDINGS, ".jsonl"))
    problem = UnknownNameError.among("sink", place, ["window", "null"])
    if "did you mean" not in problem.hint:
        problem.hint = f"write {place}/ for a folder of label images, {place}.mp4 for a video, window or null"
    return problem
