"""Frame sources: one interface for files, folders of images, cameras and network streams."""

from __future__ import annotations

import dataclasses
import importlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar

from edgeseg.errors import FormatError, UnknownNameError
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.uri import flag_option, split_kind, split_options
from edgeseg.video import NETWORK, SOURCES
from edgeseg.video.address import COMMANDS, Address
from edgeseg.video.frame import Frame

PLAYABLE = ("file", "images", "test")
PLAYED = ("sample", "live", "loop")  # options of every recording
KEY_FRAMES = "key"
Self = TypeVar("Self", bound="FrameSource")
SourceKind: TypeAlias = Literal["recording", "live"]


@dataclass(frozen=True)
class Loss:
    """Something that a source could not deliver, or why an output stopped.

    code: stable. ES-SOURCE-ENDED: an error ended a recording. Others: ES-SOURCE-CUT-SHORT,
        -UNDECODABLE, -DAMAGED, -SKIPPED and -AUDIO.
    message: one line with the name of the source, without a password.
    """

    code: str
    message: str


@dataclass(frozen=True)
class SourceInfo:
    """Properties of a source, known before its first frame; a source updates them.

    width, height: of its next frame, upright and with square pixels; a camera that reconnects may change its size.
    fps: nominal; the time of a frame is its `pts_seconds`.
    frames: from the file's header; None where it is unknown or the source has no end.
    name: for messages, without a password.
    audio: the file, if it has sound.
    """

    width: int
    height: int
    fps: Fraction
    frames: int | None
    name: str
    audio: Path | None = None


class FrameSource(ABC):
    """Yields frames with indices 0, 1, 2, ... and rising times.

    kind: a "recording" delivers every frame, and a new iteration restarts it; a "live" source delivers frames in real
    time, and a new iteration continues it. max_age_seconds: older frames of a live source are not processed. info:
    replaced when the size of the frames changes. losses: what the source could not deliver; complete when the iteration
    has ended. too_old, reconnects, stalls: counts of a live source that reconnects.
    """

    kind: SourceKind = "recording"
    max_age_seconds: float = math.inf
    too_old: int = 0
    reconnects: int = 0
    stalls: int = 0

    def __init__(self, info: SourceInfo) -> None:
        self.info = info
        self.losses: list[Loss] = []
        self._closed = False

    @property
    def warnings(self) -> list[str]:
        """The `losses`, one line each."""
        return [loss.message for loss in self.losses]

    @abstractmethod
    def _frames(self) -> Generator[Frame, None, None]:
        """The frames from the first one on; closing the generator frees its resources."""

    def __iter__(self) -> Iterator[Frame]:
        if self._closed:
            raise ValueError(f"this source is closed: {self.info.name}")
        self.losses.clear()
        return self._until_closed()

    def _until_closed(self) -> Generator[Frame, None, None]:
        frames = self._frames()
        try:
            for frame in frames:
                yield frame
                if self._closed:
                    return
        finally:
            frames.close()

    def report_to(self, on_event: Callable[[Any], None]) -> bool:
        """Have each change of its state reported as a `StreamEvent`; False for a source that has no states."""
        return False

    def files(self) -> tuple[Path, ...]:
        """The files that it reads, which a sink must not overwrite."""
        return ()

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Free resources; a running iteration ends at its next frame. It may be called twice."""
        self._closed = True

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_source(uri: str | Path, *, skip_errors: bool = False, sample: str | None = None) -> FrameSource:
    """Open a video file, a folder or glob of images, a camera, `test://street` or a URL.

    Options follow a `?`: `frames/*.png?fps=10`, `camera:0?width=1280&height=720`. A Path has no options. A recording
    takes `sample=1`, for one frame a second, or `sample=key`, for the key frames of a video; `live=1`, which plays it
    like a camera, and with it `loop=1`. A live source connects when it is iterated.
    skip_errors: skip images that cannot be read; a video always skips undecodable packets. sample: as the option.
    """
    address = address_from_uri(uri)
    options = dict(address.options)
    played = {key: options.pop(key) for key in PLAYED if key in options} if address.kind in PLAYABLE else {}
    played |= {"sample": sample} if sample is not None else {}
    if skip_errors and address.kind == "images":
        options["skip_errors"] = "1"
    if played.get("sample") == KEY_FRAMES and address.kind in PLAYABLE:
        options |= {"sample": KEY_FRAMES} if address.kind == "file" else {}  # images are key frames
        del played["sample"]
    live, loop = (flag_option(played, key) for key in ("live", "loop"))
    if loop and not live:
        raise FormatError("loop=1 is an option of live=1", hint="write live=1&loop=1", code="ES-FORMAT-OPTION")
    address = dataclasses.replace(address, options=options)
    source: FrameSource = importlib.import_module(SOURCES[address.kind]).source_from_address(address)
    if "sample" in played:
        source = importlib.import_module("edgeseg.video.sampled").sampled(source, played["sample"])
    if live:
        source = importlib.import_module("edgeseg.capture.paced").PacedSource(source, loops=loop)
    return source


def address_from_uri(uri: str | Path) -> Address:
    """The kind and place of the source `uri`. UnknownNameError for an unknown kind."""
    if isinstance(uri, Path) or ("://" not in uri and Path(uri).exists()):
        return Address(_kind_of_path(str(uri)), str(uri))
    kind, rest = split_kind(uri)
    if kind in NETWORK:
        return Address(kind, uri)
    if kind in COMMANDS:
        return Address(kind, uri.partition(":")[2])
    if kind and kind not in SOURCES:
        raise UnknownNameError.among("kind of source", kind, SOURCES)
    place, options = split_options(rest)
    return Address(kind or _kind_of_path(place), place, options)


def _kind_of_path(place: str) -> str:
    if re.match(r"/dev/video\d+$", place):
        return "camera"
    path = Path(place)
    if path.is_dir() or path.suffix.lower() in IMAGE_ENDINGS or (any(c in place for c in "*?[") and not path.exists()):
        return "images"
    return "file"
