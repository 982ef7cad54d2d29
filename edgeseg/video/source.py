"""What gives frames: one contract for files, folders of images, cameras and streams."""

from __future__ import annotations

import dataclasses
import importlib
import re
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, TypeAlias, TypeVar

from edgeseg.errors import UnknownNameError
from edgeseg.image import IMAGE_ENDINGS
from edgeseg.video import SOURCES
from edgeseg.video.address import Address, split_options
from edgeseg.video.frame import Frame
from edgeseg.video.loss import Loss

NETWORK = ("rtsp", "rtsps", "http", "https")
Self = TypeVar("Self", bound="FrameSource")
SourceKind: TypeAlias = Literal["recording", "live"]


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source at this moment, from before its first frame on.

    width, height: of its next frame, upright and with square pixels; a camera that comes back may have another size.
    fps: nominal; a frame's own time is its `pts_seconds`.
    frames: as the file states it; None where it is unknown or the source has no end.
    name: for messages, without a password.
    """

    width: int
    height: int
    fps: Fraction
    frames: int | None
    name: str


class FrameSource(ABC):
    """Gives frames with indices 0, 1, 2, ... and rising times.

    kind: of a "recording" every frame counts, and iterating again starts it again; the frames of a "live" source come
    when they come, and iterating again goes on. info: current; a source replaces it when the size of its frames
    changes. losses: what was lost on the way; complete when the iteration has ended.
    """

    kind: SourceKind = "recording"

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
        """The frames from the first one on; frees what it holds when it is closed."""

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

    def files(self) -> tuple[Path, ...]:
        """The files that it reads: a sink must not overwrite them."""
        return ()

    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Free what the source holds; an iteration under way ends at its next frame. Closing twice is no error."""
        self._closed = True

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_source(uri: str | Path, *, skip_errors: bool = False) -> FrameSource:
    """The source that `uri` names: a video file, a folder or glob of images, `camera:0`, `test://street` or a URL.

    Options stand behind a `?`: `frames/*.png?fps=10`, `camera:0?width=1280&height=720`. A Path is a path, with no
    options. skip_errors: leave out images that cannot be read; a video skips what cannot be decoded anyway.
    """
    address = address_from_uri(uri)
    if skip_errors and address.kind == "images":
        address = dataclasses.replace(address, options={**address.options, "skip_errors": "1"})
    source: FrameSource = importlib.import_module(SOURCES[address.kind]).source_from_address(address)
    return source


def opens_last(uri: str | Path) -> bool:
    """Whether `uri` may name a camera, which must not be opened before its frames are wanted."""
    return address_from_uri(uri).kind in ("camera", *NETWORK)


def address_from_uri(uri: str | Path) -> Address:
    """Which kind of source `uri` names, and where. UnknownNameError for a kind that is in no table."""
    if isinstance(uri, Path) or ("://" not in uri and Path(uri).exists()):
        return Address(_kind_of_path(str(uri)), str(uri))
    named = re.match(r"([A-Za-z][\w+.-]+):(//)?", uri)  # two letters at least: "C:" is a drive
    if not named:
        place, options = split_options(uri)
        return Address(_kind_of_path(place), place, options)
    kind = named[1].lower()
    if kind not in SOURCES:
        raise UnknownNameError.among("kind of source", kind, SOURCES)
    if kind in NETWORK:
        return Address(kind, uri)
    place, options = split_options(uri[named.end() :])
    return Address(kind, place, options)


def _kind_of_path(place: str) -> str:
    if re.match(r"/dev/video\d+$", place):
        return "camera"
    path = Path(place)
    if path.is_dir() or path.suffix.lower() in IMAGE_ENDINGS or (any(c in place for c in "*?[") and not path.exists()):
        return "images"
    return "file"
