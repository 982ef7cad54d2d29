"""One pass over an encoded video, which counts what cannot be read."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from fractions import Fraction
from typing import Any

import av

from edgeseg.errors import EdgeSegError, FormatError
from edgeseg.video.address import Address
from edgeseg.video.container import VIDEO_HINT, open_container
from edgeseg.video.failure import Failure
from edgeseg.video.source import Loss

TIMEOUT_SECONDS = 10.0
TEXT_CODECS = ("ansi", "bintext", "xbin", "idf")  # FFmpeg renders text files as video


class Reader:
    """An open video. The constructor decodes the first image, so a file without video does not open."""

    def __init__(
        self,
        address: Address,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        key_frames: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """key_frames: decode them alone; how many there are is not known before."""
        self.name = address.name
        self._timeout_seconds, self._clock = timeout_seconds, clock
        self._container = open_container(address, timeout_seconds, clock)
        self._decoded = self._undecodable = self._damaged = 0
        self._failure: Failure | None = None
        self._silent_seconds = 0.0
        try:
            self.stream = _video_stream(self._container, self.name)
            self.time_base: Fraction = self.stream.time_base
            self.fps = _fps_of(self.stream)
            self.frames: int | None = self.stream.frames or None
            self._frames_stated = 0 if _is_whole(self._container, self.stream) else self.stream.frames
            self._end_stated = _end_of(self._container)
            if key_frames:
                self.stream.codec_context.skip_frame = "NONKEY"
                self.frames, self._frames_stated, self._end_stated = None, 0, 0.0
            self.has_audio = bool(self._container.streams.audio)
            self._rest = self._decode()
            first = next(self._rest, None)
            if first is None:
                raise self._nothing_decoded(address)
            self.first: av.VideoFrame = first
        except BaseException:
            self._container.close()
            raise

    def images(self) -> Generator[av.VideoFrame, None, None]:
        """Every image once, including the first; then closes the video."""
        try:
            yield self.first
            yield from self._rest
        finally:
            self._rest.close()

    def close(self) -> None:
        """Free the video."""
        self._rest.close()
        self._container.close()

    def unread_streams(self) -> list[Loss]:
        """Streams that the reader ignores: audio."""
        return [Loss("ES-SOURCE-AUDIO", f"{self.name}: audio is not copied")] if self.has_audio else []

    def losses(self, end_seconds: float) -> list[Loss]:
        """What could not be read. end_seconds: the end of the last frame that was read."""
        losses = []
        if self._failure:
            losses.append(
                ("ES-SOURCE-ENDED", f"the source ended: {self._failure.reason}, after {self._decoded} frames")
            )
        if self._decoded < self._frames_stated:
            cut = f"the file is cut short: {self._decoded} of {self._frames_stated} frames could be read"
            losses.append(("ES-SOURCE-CUT-SHORT", cut))
        elif end_seconds < self._end_stated - 0.5:
            cut = f"the file is cut short: read to {end_seconds:.2f} s of {self._end_stated:.2f} s"
            losses.append(("ES-SOURCE-CUT-SHORT", cut))
        if self._undecodable:
            losses.append(("ES-SOURCE-UNDECODABLE", f"packets that could not be decoded: {self._undecodable}"))
        if self._damaged:
            losses.append(("ES-SOURCE-DAMAGED", f"damaged frames: {self._damaged} of {self._decoded}"))
        return [Loss(code, f"{self.name}: {line}") for code, line in losses]

    def _nothing_decoded(self, address: Address) -> EdgeSegError:
        if address.is_url:
            return (self._failure or Failure.of_reading(None)).error(address)
        return FormatError(
            f"not one frame of {self.name} can be decoded",
            hint="play it to see whether it is whole",
            code="ES-SOURCE-UNDECODABLE",
        )

    def _decode(self) -> Generator[av.VideoFrame, None, None]:
        packets = self._container.demux(self.stream)
        try:
            while True:
                packet = self._next_of(packets)
                for image in self._images_of(packet):
                    self._decoded += 1
                    self._damaged += image.is_corrupt
                    yield image
                if packet is None:
                    return
        finally:
            self._container.close()

    def _next_of(self, packets: Any) -> Any:
        """The next packet; None at the end. `_failure` is set unless it ended normally."""
        problem, requested_at = None, self._clock()
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError) as error:
            problem, packet = error, None
        self._silent_seconds += self._clock() - requested_at
        if packet is None and problem:
            self._failure = self._failure_of(problem)
        elif packet is not None and packet.size:  # an empty packet only marks the end
            self._silent_seconds = 0.0
        return packet

    def _failure_of(self, problem: Exception | None) -> Failure:
        if isinstance(problem, av.error.ExitError) or self._silent_seconds >= self._timeout_seconds:
            return Failure.of_silence(self._timeout_seconds)
        return Failure.of_reading(problem)

    def _images_of(self, packet: Any) -> list[av.VideoFrame]:
        """The images that `packet` completes; for None, those that the decoder still holds."""
        try:
            return list(packet.decode() if packet is not None else self.stream.codec_context.decode(None))
        except av.EOFError:  # the decoder is drained
            return []
        except av.FFmpegError:
            self._undecodable += 1
            return []


def _video_stream(container: Any, name: str) -> Any:
    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if streams and streams[0].codec_context is None:
        raise FormatError(
            f"the codec of {name} is not known to this FFmpeg",
            hint="write it again as H.264: ffmpeg -i INPUT -c:v libx264 OUTPUT.mp4",
            code="ES-SOURCE-CODEC",
        )
    if not streams or streams[0].codec_context.name in TEXT_CODECS:
        raise FormatError(f"there is no video in {name}", hint=VIDEO_HINT, code="ES-SOURCE-FORMAT")
    streams[0].thread_type = "AUTO"  # frame threads are fastest
    return streams[0]


def _fps_of(stream: Any) -> Fraction:
    """The nominal rate: FFmpeg's guess from the timestamps, because an average would include gaps."""
    rate = stream.guessed_rate or stream.average_rate
    return Fraction(rate) if rate and 0 < rate <= 1000 else Fraction(25)


def _is_whole(container: Any, stream: Any) -> bool:
    """Whether fewer frames than stated are not a loss: the index is complete and ends inside the file.

    The index of an MP4 omits hidden frames, and an AVI counts placeholders (N-VOPs) as frames.
    """
    count = len(stream.index_entries)
    if not count or ("mp4" not in container.format.name and count < stream.frames):
        return False
    last = stream.index_entries[count - 1]
    return bool(last.pos + last.size <= container.size)


def _end_of(container: Any) -> float:
    """The end of the video in seconds, from the header; 0 where it may be the end of the audio."""
    if container.duration is None or len(container.streams) > 1:
        return 0.0
    return float(Fraction((container.start_time or 0) + container.duration, av.time_base))
