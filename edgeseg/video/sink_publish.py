"""An RTSP or RTMP server as a sink: overlays as a live stream that others watch."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import av

from edgeseg.errors import EdgeSegError, FormatError, UnavailableError
from edgeseg.uri import bytes_option
from edgeseg.video.address import Address
from edgeseg.video.backoff import Backoff
from edgeseg.video.encoder import H264_ENCODERS, STATE_COLORS, default_encoder
from edgeseg.video.failure import Failure
from edgeseg.video.publishing import PublisherProcess
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink
from edgeseg.video.source import SourceInfo
from edgeseg.video.writer import DEFAULT_FPS, VideoWriter

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
STALL_SECONDS = 10.0  # how long a server may take nothing
LASTING_SECONDS = 10.0  # after which a connection counts as good, and the next attempt is soon
CLOSE_SECONDS = 3.0
SLOW_CODES = ("ES-SOURCE-AUTH", "ES-SOURCE-NOT-FOUND")  # trying again soon is pointless, or locks the account
TRANSPORTS = ("tcp", "udp")
OURS = ("transport", "bitrate")  # options of the query that are not the server's
NUT_OPTIONS = {"flush_packets": "1", "write_index": "0"}


class PublishSink(FrameSink):
    """Sends overlays as H.264 of low latency, with a key frame each second.

    `write` does not wait for the server. Where there is no connection, frames are dropped and counted, and the next
    attempt waits with full jitter up to 30 s; a recording goes on meanwhile. While connected, the frames of a recording
    are sent at their times. frames_dropped: not sent. problem: why frames are dropped now.
    """

    repeats: ClassVar[bool] = True

    def __init__(
        self,
        address: Address,
        encoder: str,
        fps: Fraction,
        *,
        options: Mapping[str, str] | None = None,
        encoder_options: Mapping[str, str] | None = None,
        backoff: Backoff | None = None,
        open_publisher: Callable[[Mapping[str, Any]], PublisherProcess] = PublisherProcess,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """options: of FFmpeg's muxer."""
        super().__init__(address.name)
        self.wants = "video" if encoder in STATE_COLORS else "overlay"
        self.connections = 0
        self._encoder, self._fps, self._encoder_options = encoder, fps, encoder_options
        self._request = {"kind": address.kind, "url": address.place, "options": dict(options or {})}
        self._backoff, self._open, self._clock, self._sleep = backoff or Backoff(), open_publisher, clock, sleep
        self._publisher: PublisherProcess | None = None
        self._writer: VideoWriter | None = None
        self._retry_at = self._began_at = self._progress_at = float("-inf")
        self._first_pts = 0.0
        self._pace: tuple[float, float] | None = None  # the clock and the time of the frame when the server took it

    def _write(self, result: Result) -> bool:
        if not self._send(result, self._clock()):
            self.frames_dropped += 1
        return True

    def _send(self, result: Result, now: float) -> bool:
        """Send the overlay of `result`; False where it is dropped."""
        if self._publisher is None:
            return now >= self._retry_at and self._connect(result, now)
        if self._publisher.advance() or not self._publisher.waiting_bytes:
            self._progress_at = now
        failure = self._failure(self._publisher, now)
        if failure is not None:
            self._lose(failure, now)
            return False
        if not self._publisher.is_connected or self._publisher.waiting_bytes:
            return False
        self._connected(result, now)
        return self._encode(result, self._publisher)

    def _connect(self, result: Result, now: float) -> bool:
        """Start a publisher with the first frame, whose header it needs to describe the stream to the server."""
        try:
            self._publisher = self._open(self._request)
        except OSError as problem:
            self._lose(Failure("ES-SYSTEM", problem.strerror or "no new process", "end other programs"), now)
            return False
        self._began_at = self._progress_at = now
        self._first_pts, self._pace = result.frame.pts_seconds, None
        return self._encode(result, self._publisher)

    def _failure(self, publisher: PublisherProcess, now: float) -> Failure | None:
        if publisher.failure is not None:
            return publisher.failure
        if not publisher.is_connected:
            return Failure.of_silence(CONNECT_SECONDS) if now - self._began_at > CONNECT_SECONDS else None
        return Failure.of_silence(STALL_SECONDS) if now - self._progress_at > STALL_SECONDS else None

    def _connected(self, result: Result, now: float) -> None:
        """Note the connection, and wait for the time of a recording's frame."""
        if self._pace is None:
            logger.info("publishing to %s", self.name)
            self.connections += 1
            self.problem, self._pace, self._began_at = None, (now, result.frame.pts_seconds), now
        if now - self._began_at > LASTING_SECONDS:
            self._backoff.reset()
        if result.frame.captured_at is None:
            wait = self._pace[0] + result.frame.pts_seconds - self._pace[1] - now
            if wait > 0:
                self._sleep(min(wait, 1.0))

    def _encode(self, result: Result, publisher: PublisherProcess) -> bool:
        try:
            self._writer = self._writer or VideoWriter(
                publisher,  # type: ignore[arg-type] # PyAV asks for write alone
                result.frame.size,
                self._encoder,
                self._fps,
                file_format="nut",
                options=NUT_OPTIONS,
                encoder_options=self._encoder_options,
            )
            self._writer.write(result.overlay_for_video(), result.frame.pts_seconds - self._first_pts)
        except (av.FFmpegError, OSError) as problem:
            self.close()
            message = f"the encoder {self._encoder} cannot write to {self.name}: {problem.strerror}"
            hint = "the first encoder of this machine is used: edgeseg doctor lists what there is"
            raise UnavailableError(message, hint=hint, code="ES-ENCODER") from problem
        publisher.advance()
        return True

    def _lose(self, failure: Failure, now: float) -> None:
        """Give the connection up; the next attempt waits."""
        wait = self._backoff.next_seconds(slow=failure.code in SLOW_CODES)
        self._retry_at = now + wait
        message = f"cannot publish to {self.name}: {failure.reason}; next attempt in {wait:.1f} s"
        logger.log(logging.INFO if self.problem else logging.WARNING, message)
        self.problem = UnavailableError(message, hint=failure.hint, code="ES-PUBLISH")
        publisher, self._publisher = self._publisher, None
        self._abandon_writer()
        if publisher is not None:
            self._count_first_frame()
            publisher.kill()

    def _count_first_frame(self) -> None:
        """The frame that began a connection is dropped where the server did not take it."""
        self.frames_dropped += self._pace is None

    def _abandon_writer(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.abandon()

    def close(self) -> None:
        """End the stream on the server, within 3 s."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            if self._writer is not None and publisher.is_connected:
                with contextlib.suppress(av.FFmpegError, OSError):
                    self._writer.finish()
            self._abandon_writer()
            self._count_first_frame()
            publisher.close(CLOSE_SECONDS)
        if self.frames_dropped:
            reason = f": {self.problem.message}" if isinstance(self.problem, EdgeSegError) else ""
            self.notes = (f"{self.name}: {self.frames_dropped} of {self.frames_written} frames were not sent{reason}",)


def sink_from_address(address: Address, info: SourceInfo | None) -> PublishSink:
    """rtsp://, rtsps://, rtmp:// or rtmps://. Options: transport (tcp, udp; RTSP), bitrate (500K, 4M bits a second).

    The rest of the query is the server's.
    """
    path, mark, query = address.place.partition("?")
    parts = [part for part in query.split("&") if part]
    ours = dict(parse_qsl("&".join(part for part in parts if part.partition("=")[0] in OURS), keep_blank_values=True))
    theirs = "&".join(part for part in parts if part.partition("=")[0] not in OURS)
    address = dataclasses.replace(address, place=path + (mark + theirs if theirs else ""))
    options = {"rtsp_transport": ours.get("transport", "tcp")} if address.kind.startswith("rtsp") else {}
    if ours.get("transport", "tcp") not in TRANSPORTS or ("transport" in ours and not options):
        message = f"{address.name}: transport={ours['transport']} is not possible"
        raise FormatError(message, hint="write transport=tcp or transport=udp, for rtsp://", code="ES-FORMAT-OPTION")
    rate = bytes_option(ours, "bitrate")
    rates = {"b": f"{rate:.0f}", "maxrate": f"{rate:.0f}", "bufsize": f"{rate / 2:.0f}", "crf": "-1"} if rate else {}
    encoder = default_encoder(".mp4")
    if encoder not in H264_ENCODERS:
        hint = "install a PyAV with libx264: pip install av"
        raise UnavailableError("publishing needs an encoder for H.264", hint=hint, code="ES-ENCODER")
    fps = info.fps if info else DEFAULT_FPS
    return PublishSink(address, encoder, fps, options=options, encoder_options=rates)
