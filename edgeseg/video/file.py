"""Video files, here or on a web server, decoded by FFmpeg through PyAV."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path

import av

from edgeseg.video.address import Address
from edgeseg.video.audio import RESTART_SECONDS
from edgeseg.video.frame import Frame
from edgeseg.video.geometry import Geometry
from edgeseg.video.reader import TIMEOUT_SECONDS, Reader
from edgeseg.video.source import KEY_FRAMES, FrameSource, SourceInfo


class FileSource(FrameSource):
    """The frames of a video file, or of one on a web server.

    Frames keep the file's timestamps: the first may differ from 0, and gaps remain. A timestamp that does not rise is
    moved one tick after its predecessor; where they start anew, they go on one frame period behind it. All images are
    scaled to the size of the first. key_frames: only these are decoded.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        key_frames: bool = False,
    ) -> None:
        self._address = address
        self._open = partial(Reader, address, timeout_seconds=timeout_seconds, key_frames=key_frames)
        reader = self._open()
        self._reader: Reader | None = reader
        self._geometry = Geometry.from_image(reader.first, reader.stream.sample_aspect_ratio)
        height, width = self._geometry.size
        self._codec: str = reader.stream.codec_context.name
        audio = Path(address.place) if reader.has_audio and not address.is_url else None
        super().__init__(SourceInfo(width, height, reader.fps, reader.frames, address.name, audio))

    @property
    def codec(self) -> str:
        """The name of the codec."""
        return self._codec

    def files(self) -> tuple[Path, ...]:
        """The file; none for a URL."""
        return () if self._address.is_url else (Path(self._address.place),)

    def close(self) -> None:
        """Free the file."""
        super().close()
        if self._reader:  # opened but never read
            self._reader.close()
            self._reader = None

    def _frames(self) -> Generator[Frame, None, None]:
        reader, self._reader = self._reader or self._open(), None
        images = reader.images()
        times = _Times(reader)
        self.losses += reader.unread_streams()
        try:
            for index, image in enumerate(images):
                yield self._frame_from_image(index, times.of(image), image)
            self.losses += reader.losses(times.last + float(1 / self.info.fps))
        finally:
            images.close()
            reader.close()

    def _frame_from_image(self, index: int, pts_seconds: float, image: av.VideoFrame) -> Frame:
        geometry = self._geometry
        return Frame(
            index,
            pts_seconds,
            self.info.width,
            self.info.height,
            rgb=partial(geometry.rgb_from_image, image),
            planes=partial(geometry.planes_from_image, image),
        )


class _Times:
    """The times of the images of one pass, each later than the one before."""

    def __init__(self, reader: Reader) -> None:
        self._reader, self._shift = reader, 0.0
        self.last = float("-inf")

    def of(self, image: av.VideoFrame) -> float:
        """The time of the next image."""
        self.last = self._next(image)
        return self.last

    def _next(self, image: av.VideoFrame) -> float:
        reader = self._reader
        period = float(1 / reader.fps)
        if image.pts is None:
            return max(0.0, self.last + period)
        # Not by image.time_base: after a read error, images left in the decoder have none.
        seconds = float(image.pts * reader.time_base)
        if seconds + self._shift < self.last - RESTART_SECONDS:
            self._shift = self.last + period - seconds
        return max(seconds + self._shift, self.last + float(reader.time_base))


def source_from_address(address: Address) -> FileSource:
    """The video at a path or URL; option: sample=key, for its key frames alone."""
    if not address.is_url:
        address.check_options(["sample"])
    return FileSource(address, key_frames=address.options.get("sample") == KEY_FRAMES)
