"""One connection to a live source: its reader process, and the clean images that are decoded from its packets."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import av

from edgeseg.capture.process import ReaderProcess
from edgeseg.capture.request import ANALYSIS_MICROSECONDS, ReaderRequest
from edgeseg.video.failure import Failure

RESOLVE_SECONDS = 5.0  # to resolve a name and start a process, beyond the timeout for connecting
LEAST_STALL_SECONDS = 10.0
STALL_INTERVALS = 5.0
KEYFRAME_PATIENCE_SECONDS = 10.0  # then an image that is refreshed without key frames is taken as it is
UNDECODABLE_SECONDS = 60.0  # packets arrive, and no clean image: no camera sends key frames so rarely
SMOOTHING = 0.1


class LiveImage(NamedTuple):
    """A decoded image with the time of its packet: on the clock of the source, and its arrival on ours."""

    image: av.VideoFrame
    pts_seconds: float
    arrived_at: float
    pixel_aspect: Fraction | None


@dataclass
class Counts:
    """What a connection saw. packets, images: all of them; unclean: images that were decoded and not handed on."""

    packets: int = 0
    images: int = 0
    unclean: int = 0


class Connection:
    """A running reader process. The constructor starts it and does not wait.

    patience: a factor for the time after which silence is a stall, for a source that has stalled before.
    """

    def __init__(
        self, request: ReaderRequest, *, patience: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._request, self._patience, self._clock = request, patience, clock
        self.counts = Counts()
        self.codec, self.fps = "", 0.0  # known with the first image
        self.interval_seconds = self._last_at = 0.0
        self._failure: Failure | None = None
        self._open_seconds = (request.timeout_seconds + RESOLVE_SECONDS) * patience
        self._process = ReaderProcess(request.to_dict(), self._open_seconds, clock)

    @property
    def pid(self) -> int:
        """The process id of the reader."""
        return self._process.pid

    @property
    def is_stalled(self) -> bool:
        """Whether it ended because nothing came for too long, after something had come."""
        return self._process.expired and self.counts.packets > 0

    @property
    def is_complete(self) -> bool:
        """Whether the source has an end, and came to it."""
        return self._process.is_complete

    def stall_seconds(self) -> float:
        """After how much silence the source counts as stalled."""
        return self._patience * max(LEAST_STALL_SECONDS, STALL_INTERVALS * self.interval_seconds)

    def images(self) -> Generator[LiveImage, None, None]:
        """The images from the first clean key frame on, in the order of display, until the reader ends.

        An image is clean if nothing that it was predicted from was damaged: after any damage the decoder goes on, and
        images are handed on again from the next clean key frame.
        """
        try:
            with self._container() as container:
                yield from self._decoded(container)
        except GeneratorExit:
            self.kill()  # it would go on, and have no report
            raise
        except (av.FFmpegError, OSError):  # the reader ended amid a packet, or before the first one
            pass
        finally:
            if self._failure is not None:
                self.kill()
            self._process.join_reports()

    def failure(self) -> Failure:
        """Why the images ended."""
        process = self._process
        if process.expired:
            return Failure.of_silence(self.stall_seconds() if self.counts.packets else self._open_seconds)
        if failure := self._failure or process.failure:
            return failure
        return self._request.failure_of(process.last_line, opened=self.counts.packets > 0)

    def kill(self) -> None:
        """End the images, from any thread."""
        self._process.kill()

    def close(self) -> None:
        """Free the process and its pipes; not while another thread reads the images."""
        self._process.close()

    def _container(self) -> contextlib.AbstractContextManager[Any]:
        # NUT of the reader process states all. Not with "nobuffer", which loses the first packet: a key frame.
        ours = {"probesize": "32", "analyzeduration": "0"}
        opened: contextlib.AbstractContextManager[Any] = av.open(
            f"pipe:{self._process.stdout}",
            format=self._request.format,
            options=ours if self._request.format == "nut" else {"analyzeduration": ANALYSIS_MICROSECONDS},
            hwaccel=self._request.hwaccel(),
        )
        return opened

    def _decoded(self, container: Any) -> Generator[LiveImage, None, None]:
        if not container.streams.video:  # of a command: the reader process checks what it opens
            self._failure = Failure.of_no_video(self._request.address)
            return
        stream = container.streams.video[0]
        if stream.codec_context is None:
            self._failure = Failure.of_codec()
            return
        # Frame threads would delay the stream by as many frames as there are cores.
        stream.thread_type = "SLICE"
        self.codec, self.fps = stream.codec_context.name, float(stream.average_rate or 0)
        time_base, last_pts = float(stream.time_base), 0.0
        clean, started, waits_since = False, False, self._clock()
        for packet in container.demux(stream):
            now = self._clock()
            if packet.size:  # an empty one fetches what the decoder still holds
                self._arrived(now)
            out_of_patience = now - waits_since > KEYFRAME_PATIENCE_SECONDS
            if not started and not (packet.is_keyframe or out_of_patience):
                continue
            started = True
            try:
                images = packet.decode()
            except av.FFmpegError:
                images, clean = [], False
            for image in images:
                self.counts.images += 1
                if image.is_corrupt:
                    clean, waits_since = False, waits_since if not clean else now
                elif not clean:
                    clean = bool(image.key_frame) or now - waits_since > KEYFRAME_PATIENCE_SECONDS
                if not clean:
                    self.counts.unclean += 1
                    continue
                waits_since = now
                last_pts = image.pts * time_base if image.pts is not None else last_pts
                yield LiveImage(image, last_pts, now, stream.codec_context.sample_aspect_ratio)
            if now - waits_since > UNDECODABLE_SECONDS * self._patience:
                self._failure = Failure.of_decoding(now - waits_since)
                return

    def _arrived(self, now: float) -> None:
        """Count a packet, and let the next one come."""
        if self.counts.packets:
            interval = now - self._last_at
            first = self.interval_seconds == 0.0
            self.interval_seconds += (interval - self.interval_seconds) * (1.0 if first else SMOOTHING)
        self._last_at = now
        self.counts.packets += 1
        self._process.allow(self.stall_seconds())
