"""One pass over an encoded video, with an account of what could not be read."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from edgeseg.errors import EdgeSegError, FileProblem, FormatError, UnavailableError
from edgeseg.files import existing_file
from edgeseg.video.address import Address

TIMEOUT_SECONDS = 10.0
TEXT_CODECS = ("ansi", "bintext", "xbin", "idf")  # FFmpeg shows text files as films of text
VIDEO_HINT = "name a video file (.mp4, .mkv, .avi, .mov, .webm), a folder of images or a camera"


class Reader:
    """An open video, of which the first picture is decoded: what is no video does not open."""

    def __init__(self, address: Address) -> None:
        self.name = address.name
        self._container = _container_from_address(address)
        self._decoded = self._undecodable = self._damaged = 0
        self._stopped = ""
        try:
            self.stream = _video_stream(self._container, self.name)
            self.fps = _fps_of(self.stream)
            self.frames: int | None = self.stream.frames or None
            self._frames_stated = 0 if _hides_frames(self._container, self.stream) else self.stream.frames
            self._end_stated = _end_of(self._container)
            self.is_endless = self._container.duration is None  # a camera; a file over HTTP has a length
            self._rest = self._decode()
            self.first: av.VideoFrame = next(self._rest, None)
            if self.first is None:
                raise FormatError(
                    f"not one frame of {self.name} can be decoded", hint="play it to see whether it is whole"
                )
        except BaseException:
            self._container.close()
            raise

    def pictures(self) -> Generator[av.VideoFrame, None, None]:
        """Every picture once, the first one included; closes the video behind them."""
        try:
            yield self.first
            yield from self._rest
        finally:
            self._rest.close()

    def close(self) -> None:
        """Free the video."""
        self._rest.close()
        self._container.close()

    def losses(self, end_seconds: float) -> list[str]:
        """What was lost, one line each. end_seconds: when the last frame that was read ends."""
        lines = []
        if self._stopped:
            lines.append(f"reading stopped after {self._decoded} frames: {self._stopped}")
        if self._decoded < self._frames_stated:
            lines.append(f"the file is cut short: {self._decoded} of {self._frames_stated} frames could be read")
        elif end_seconds < self._end_stated - 0.5:
            lines.append(f"the file is cut short: read to {end_seconds:.2f} s of {self._end_stated:.2f} s")
        if self._undecodable:
            lines.append(f"packets that could not be decoded: {self._undecodable}")
        if self._damaged:
            lines.append(f"damaged frames: {self._damaged} of {self._decoded}")
        return [f"{self.name}: {line}" for line in lines]

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        packets = self._container.demux(self.stream)
        try:
            while True:
                try:
                    packet = next(packets, None)
                except (av.FFmpegError, OSError) as problem:
                    self._stopped = problem.strerror or "read error"
                    packet = None
                pictures = self._pictures_of(packet)
                for picture in pictures:
                    self._decoded += 1
                    self._damaged += picture.is_corrupt
                    yield picture
                if packet is None:
                    return
        finally:
            self._container.close()

    def _pictures_of(self, packet: Any) -> list[av.VideoFrame]:
        """The pictures that `packet` completes; those still inside the decoder for None."""
        try:
            return list(packet.decode() if packet is not None else self.stream.codec_context.decode(None))
        except av.EOFError:  # the decoder is drained
            return []
        except av.FFmpegError:
            self._undecodable += 1
            return []


def _container_from_address(address: Address) -> Any:
    try:
        if address.is_url:
            options = {"rtsp_transport": "tcp"} if address.kind.startswith("rtsp") else {}
            return av.open(address.place, options=options, timeout=TIMEOUT_SECONDS)
        path = existing_file(address.place)
        return av.open(f"file:{path}")  # "file:" keeps a colon in a name from being read as a protocol
    except (av.FFmpegError, OSError) as problem:
        reason, wrong_format = problem.strerror or "refused", isinstance(problem, av.InvalidDataError)
    raise _opening_error(address, reason, wrong_format)  # out here, for FFmpeg's own error shows the password


def _opening_error(address: Address, reason: str, wrong_format: bool) -> EdgeSegError:
    if not wrong_format and address.is_url:
        return UnavailableError(
            f"cannot open {address.name}: {reason}", hint="check the address, and that the camera is on"
        )
    if not wrong_format:
        return FileProblem(f"cannot open {address.name}: {reason}", hint="check the path")
    if not address.is_url and _is_mp4(Path(address.place)):
        hint = "record it again, as .mkv where recordings get cut off; untrunc can rescue an MP4"
        return FormatError(f"the index (moov) of {address.name} is missing: its recording was cut off", hint=hint)
    return FormatError(f"this is no video: {address.name}", hint=VIDEO_HINT)


def _is_mp4(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] == b"ftyp"


def _video_stream(container: Any, name: str) -> Any:
    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if not s.disposition & cover and s.codec_context]
    if not streams or streams[0].codec_context.name in TEXT_CODECS:
        raise FormatError(f"there is no video in {name}", hint=VIDEO_HINT)
    streams[0].thread_type = "AUTO"  # frames on several cores
    return streams[0]


def _fps_of(stream: Any) -> Fraction:
    """The nominal rate: the guess from the timestamps' grid, for an average would count gaps."""
    rate = stream.guessed_rate or stream.average_rate
    return Fraction(rate) if rate and 0 < rate <= 1000 else Fraction(25)


def _hides_frames(container: Any, stream: Any) -> bool:
    """Whether fewer frames than stated are no loss: an MP4 may hide some, and is whole if its index stays inside."""
    if "mp4" not in container.format.name or not len(stream.index_entries):
        return False
    last = stream.index_entries[len(stream.index_entries) - 1]
    return bool(last.pos + last.size <= container.size)


def _end_of(container: Any) -> float:
    """When the header says that the video ends, in seconds; 0 where that may be the end of the sound."""
    if container.duration is None or len(container.streams) > 1:
        return 0.0
    return float(Fraction((container.start_time or 0) + container.duration, av.time_base))
