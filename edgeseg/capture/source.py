"""A live source that survives: it reconnects for ever, and hands out clean frames with their age."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from functools import partial

from edgeseg.capture.age import CaptureClock
from edgeseg.capture.connection import Connection, LiveImage
from edgeseg.capture.pace import Pace
from edgeseg.capture.request import ReaderRequest, request_from_address
from edgeseg.capture.state import OnEvent, StreamEvent, StreamState
from edgeseg.errors import UnknownNameError
from edgeseg.video.address import Address
from edgeseg.video.backoff import Backoff
from edgeseg.video.failure import Failure
from edgeseg.video.file import FileSource
from edgeseg.video.frame import Frame
from edgeseg.video.geometry import Geometry
from edgeseg.video.source import FrameSource, Loss, SourceInfo, SourceKind

logger = logging.getLogger(__name__)

DEFAULT_FPS = Fraction(25)
MAX_AGE_SECONDS = 1.0
STEADY_SECONDS = 10.0  # live for so long, and the back-off starts anew
LONGEST_BACKLOG_SECONDS = 10.0  # of a server that begins with its last group of pictures
RTSP = ("rtsp", "rtsps")
BEHIND_SECONDS = 5.0  # so long too old without catching up: a new connection is faster
SLOW_CODES = ("ES-SOURCE-AUTH", "ES-SOURCE-NOT-FOUND", "ES-SOURCE-FORMAT", "ES-SOURCE-CODEC", "ES-SOURCE-COMMAND")
MOST_PATIENCE = 16.0
RECORDINGS = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v")


class LiveSource(FrameSource):
    """The frames of a camera or network stream. It opens at once and connects when it is iterated.

    Iteration ends only after `close`, which any thread may call. Frames of `info` are 0x0 until the first one came.
    `pts_seconds` counts from the first frame on our clock, across reconnects; `sequence` counts every clean frame that
    arrived, and frames older than `max_age_seconds`, or that catch up after such, are counted and not handed out.
    on_event: called from the iterating thread at each change of state.
    """

    kind: SourceKind = "live"

    def __init__(
        self,
        request: ReaderRequest,
        *,
        max_age_seconds: float = MAX_AGE_SECONDS,
        on_event: OnEvent | None = None,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(SourceInfo(0, 0, DEFAULT_FPS, None, request.address.name))
        self.max_age_seconds, self.on_event = max_age_seconds, on_event
        self.state, self.state_since = StreamState.CONNECTING, clock()
        self.too_old = self.unclean = self.reconnects = self.stalls = self.arrived = 0
        self.last_failure: Failure | None = None
        self.codec = ""
        self.request, self._clock, self._backoff = request, clock, backoff or Backoff()
        self._closing = threading.Event()
        self._connection: Connection | None = None
        self._patience = 1.0
        self._index, self._first_at, self._last_pts = 0, 0.0, -1.0

    def report_to(self, on_event: OnEvent) -> bool:
        """`FrameSource.report_to`."""
        self.on_event = on_event
        return True

    def close(self) -> None:
        """End the iteration: a wait or a read that blocks ends at once."""
        super().close()
        self._closing.set()
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.kill()

    def _frames(self) -> Generator[Frame, None, None]:
        self._index = 0
        try:
            while not self._closing.is_set():
                yield from self._connected()
        finally:
            self._changed(StreamState.ENDED, "")

    def _connected(self) -> Generator[Frame, None, None]:
        """The frames of one connection, and the wait after it."""
        self._changed(StreamState.CONNECTING, "connecting")
        try:
            connection = self._connection = Connection(self.request, patience=self._patience, clock=self._clock)
        except OSError as problem:  # of too many processes or open files
            self._wait(Failure.of_starting(problem))
            return
        if self._closing.is_set():  # it did not see this connection
            connection.kill()
        # A link that was too slow for the last connection may delay the first frames of this one, too.
        was_behind = self.last_failure is not None and self.last_failure.code == "ES-SOURCE-BEHIND"
        images, behind, pace = connection.images(), _Behind(), Pace(in_doubt=was_behind)
        try:
            yield from self._fresh(connection, images, behind, pace)
        finally:
            images.close()
            connection.kill()
            connection.close()
            self.unclean += connection.counts.unclean
            self._connection = None
        if connection.is_complete:
            self.close()
        if self._closing.is_set():
            return
        if behind.is_behind:
            self._wait(Failure.of_delay(self.max_age_seconds), at_once=True)
        else:
            self._wait(connection.failure(), stalled=connection.is_stalled)

    def _fresh(
        self, connection: Connection, images: Iterator[LiveImage], behind: _Behind, pace: Pace
    ) -> Generator[Frame, None, None]:
        """The frames that are not too old, until the connection ends or is `behind`."""
        live_since, geometry, ages = None, _Geometry(), CaptureClock()
        for live_image in self._after_backlog(images):
            if live_since is None:
                live_since = self._clock()
                self._is_live(connection, geometry.of(live_image))
            if self._clock() - live_since > STEADY_SECONDS:
                self._backoff.reset()
                self._patience = 1.0
            self.arrived += 1
            captured_at = ages.captured_at(live_image.pts_seconds, live_image.arrived_at)
            age = self._clock() - captured_at
            if age > self.max_age_seconds:
                self.too_old += 1
                pace.doubt()
                if behind.too_long(age, live_image.arrived_at):
                    return
            elif pace.is_kept(live_image.pts_seconds, live_image.arrived_at):
                behind.clear()
                yield self._frame(live_image, captured_at, geometry.of(live_image))
            else:
                self.too_old += 1
            if self._closing.is_set():
                return

    def _after_backlog(self, images: Iterator[LiveImage]) -> Generator[LiveImage, None, None]:
        """The images without those that an RTSP server or demuxer had buffered and hands out at once at the start.

        They are old, and no age can be known before the first one that arrives as it is made; so the first image waits
        for the second one.
        """
        if self.request.address.kind in RTSP and (held := next(images, None)) is not None:
            began = held.pts_seconds
            for image in images:
                step, waited = image.pts_seconds - held.pts_seconds, image.arrived_at - held.arrived_at
                if waited >= step / 2 or image.pts_seconds - began > LONGEST_BACKLOG_SECONDS:
                    yield held
                    held = image
                    break
                held = image
                self.arrived += 1
                self.too_old += 1
            yield held
        yield from images

    def _is_live(self, connection: Connection, geometry: Geometry) -> None:
        fps = Fraction(connection.fps).limit_denominator(1001) if 1 <= connection.fps <= 1000 else DEFAULT_FPS
        self.info = dataclasses.replace(self.info, fps=fps)
        self.codec, self.last_failure = connection.codec, None
        height, width = geometry.size
        self._resized(width, height)
        self._changed(StreamState.LIVE, f"{connection.codec}, {width}x{height}")

    def _resized(self, width: int, height: int) -> None:
        """Note the size of the next frame, and report a change."""
        before = self.info
        if (width, height) == (before.width, before.height):
            return
        self.info = dataclasses.replace(before, width=width, height=height)
        if before.width and self.on_event is not None:
            data = {"width": width, "height": height}
            self.on_event(StreamEvent(before.name, "frame-size", f"{width}x{height}", data=data))

    def _wait(self, failure: Failure, *, stalled: bool = False, at_once: bool = False) -> None:
        """Say why the connection ended, and wait before the next one."""
        self._patience = min(MOST_PATIENCE, self._patience * 2) if stalled else self._patience
        seconds = 0.0 if at_once else self._backoff.next_seconds(slow=failure.code in SLOW_CODES)
        self.last_failure = failure
        self.reconnects += 1
        self.stalls += stalled
        message = f"{failure.reason}; next attempt in {seconds:.1f} s"
        self.losses[:] = [Loss(failure.code, f"{self.info.name}: {failure.reason}")]
        state = StreamState.STALLED if stalled else StreamState.LOST
        self._changed(state, message, failure, seconds)
        self._closing.wait(seconds)

    def _changed(
        self, state: StreamState, message: str, failure: Failure | None = None, retry_seconds: float | None = None
    ) -> None:
        if state is self.state and failure is None and state is not StreamState.CONNECTING:
            return
        self.state, self.state_since = state, self._clock()
        if self.on_event is not None:
            code, hint = (failure.code, failure.hint) if failure else ("", "")
            event = StreamEvent(
                self.info.name, "state", message, state=state, code=code, hint=hint, retry_seconds=retry_seconds
            )
            self.on_event(event)

    def _frame(self, live: LiveImage, captured_at: float, geometry: Geometry) -> Frame:
        height, width = geometry.size
        self._resized(width, height)
        if self._last_pts < 0:
            self._first_at = captured_at
        self._last_pts = max(captured_at - self._first_at, self._last_pts + 1e-6)  # times must rise
        frame = Frame(
            self._index,
            self._last_pts,
            width,
            height,
            rgb=partial(geometry.rgb_from_image, live.image),
            planes=partial(geometry.planes_from_image, live.image),
            captured_at=captured_at,
            sequence=self.arrived - 1,
        )
        self._index += 1
        return frame


class _Geometry:
    """The geometry of images whose size may change."""

    def __init__(self) -> None:
        self._size: tuple[int, int] = (0, 0)
        self._geometry: Geometry | None = None

    def of(self, live: LiveImage) -> Geometry:
        size = (live.image.width, live.image.height)
        if self._geometry is None or size != self._size:
            self._size, self._geometry = size, Geometry.from_image(live.image, live.pixel_aspect)
        return self._geometry


class _Behind:
    """Whether frames have been too old for so long, and without catching up, that a new connection is faster."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._since: float | None = None
        self._age_then, self.is_behind = 0.0, False

    def too_long(self, age: float, now: float) -> bool:
        if self._since is None:
            self._since, self._age_then = now, age
        elif now - self._since > BEHIND_SECONDS:
            self.is_behind = age > self._age_then - BEHIND_SECONDS / 2
            self._since, self._age_then = now, age
        return self.is_behind


def source_from_address(address: Address) -> FrameSource:
    """The live source at an address, which connects when it is iterated; a file on a web server is a recording."""
    request = request_from_address(address)
    if address.kind in ("http", "https") and address.place.partition("?")[0].lower().endswith(RECORDINGS):
        if request.decode:
            hint = "leave decode= out: it is an option of live streams"
            raise UnknownNameError(f"{address.name} is a recording, which is decoded in software", hint=hint)
        return FileSource(address)
    return LiveSource(request)
