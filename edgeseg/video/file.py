"""Video files and network streams, decoded by FFmpeg through PyAV."""

from __future__ import annotations

import time
from collections.abc import Generator
from fractions import Fraction
from functools import partial
from pathlib import Path

import av

from edgeseg.video.address import Address
from edgeseg.video.frame import Frame
from edgeseg.video.picture import Geometry
from edgeseg.video.reader import Reader
from edgeseg.video.source import FrameSource, SourceInfo


class FileSource(FrameSource):
    """The frames of a video file, or of a URL that FFmpeg opens.

    Frames keep the file's timestamps: the first one need not be 0, and gaps stay gaps. One that does not rise is put a
    tick behind its predecessor. A picture of another size than the first one is scaled to it.
    """

    def __init__(self, address: Address) -> None:
        self._address = address
        reader = Reader(address)
        self._reader: Reader | None = reader
        self._geometry = Geometry.from_picture(reader.first, reader.stream.sample_aspect_ratio)
        height, width = self._geometry.size
        self.kind = "live" if address.is_url and reader.is_endless else "recording"
        super().__init__(SourceInfo(width, height, reader.fps, reader.frames, address.name))

    def files(self) -> tuple[Path, ...]:
        """The file; none for a URL."""
        return () if self._address.is_url else (Path(self._address.place),)

    def close(self) -> None:
        """Free the file."""
        super().close()
        if self._reader:  # opened and never read
            self._reader.close()
            self._reader = None

    def _frames(self) -> Generator[Frame, None, None]:
        reader, self._reader = self._reader or Reader(self._address), None
        pictures = reader.pictures()
        end = float("-inf")
        try:
            for index, picture in enumerate(pictures):
                pts_seconds = _pts_seconds(picture, end, self.info.fps)
                end = pts_seconds
                yield self._frame_from_picture(index, pts_seconds, picture)
            self.warnings += reader.losses(end + float(1 / self.info.fps))
        finally:
            pictures.close()
            reader.close()

    def _frame_from_picture(self, index: int, pts_seconds: float, picture: av.VideoFrame) -> Frame:
        geometry = self._geometry
        return Frame(
            index,
            pts_seconds,
            self.info.width,
            self.info.height,
            rgb=partial(geometry.rgb_from_picture, picture),
            planes=partial(geometry.planes_from_picture, picture),
            captured_at=time.monotonic() if self.kind == "live" else None,
        )


def _pts_seconds(picture: av.VideoFrame, last: float, fps: Fraction) -> float:
    """The time of `picture`, always later than `last`."""
    if picture.pts is None:
        return max(0.0, last + float(1 / fps))
    return max(float(picture.pts * picture.time_base), last + float(picture.time_base))


def source_from_address(address: Address) -> FileSource:
    """The video at a path or URL; it takes no options."""
    if not address.is_url:
        address.check_options([])
    return FileSource(address)
