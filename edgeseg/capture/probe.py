"""Open a source once, decode one frame, and say what it is."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.capture.connection import Connection
from edgeseg.capture.request import TIMEOUT_SECONDS, ReaderRequest
from edgeseg.capture.source import LiveSource
from edgeseg.video.file import FileSource
from edgeseg.video.geometry import Geometry
from edgeseg.video.source import SourceKind, open_source


@dataclass(frozen=True)
class Probe:
    """What a source is. width, height: upright, with square pixels. fps: as it states them; None where it does not.

    frames: None where it has no end or does not state them. first_frame_seconds: from opening to the first frame that
    can be shown.
    """

    name: str
    kind: SourceKind
    codec: str
    width: int
    height: int
    fps: float | None
    frames: int | None
    first_frame_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def probe(
    uri: str | Path, *, timeout_seconds: float = TIMEOUT_SECONDS, clock: Callable[[], float] = time.monotonic
) -> Probe:
    """Open `uri` and decode one frame. The EdgeSegError of a source that cannot be opened says why, by its code."""
    began = clock()
    with open_source(uri) as source:
        if isinstance(source, LiveSource):
            request = dataclasses.replace(source.request, timeout_seconds=timeout_seconds)
            return _live(request, clock, began)
        frame = next(iter(source))
        codec = source.codec if isinstance(source, FileSource) else ""
        return Probe(
            source.info.name, source.kind, codec, frame.width, frame.height, float(source.info.fps),
            source.info.frames, clock() - began,
        )  # fmt: skip


def _live(request: ReaderRequest, clock: Callable[[], float], began: float) -> Probe:
    connection = Connection(request, clock=clock)
    try:
        with closing(connection.images()) as images:
            first = next(images, None)
            if first is None:
                raise connection.failure().error(request.address)
            height, width = Geometry.from_image(first.image, first.pixel_aspect).size
            return Probe(
                request.address.name, "live", connection.codec, width, height, connection.fps or None, None,
                clock() - began,
            )  # fmt: skip
    finally:
        connection.kill()
        connection.close()
