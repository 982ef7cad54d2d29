"""A live source reconnects for ever: with a fake connection and a clock that only the fakes move."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import Any

import av
import pytest

from edgeseg.capture import source as source_module
from edgeseg.capture.connection import Counts, LiveImage
from edgeseg.capture.request import request_from_address
from edgeseg.capture.source import LiveSource
from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.video.backoff import Backoff
from edgeseg.video.failure import Failure
from edgeseg.video.frame import Frame
from edgeseg.video.source import address_from_uri

REFUSED = Failure("ES-SOURCE-REFUSED", "Connection refused", "check the port")
SILENT = Failure("ES-SOURCE-TIMEOUT", "no data came for 10 s", "check the network")
PATIENCE_SECONDS = 60.0


@dataclass
class Script:
    """What one connection does: (timestamp, arrival, width) of its images, and why it ends."""

    images: list[tuple[float, float, int]] = field(default_factory=list)
    failure: Failure = REFUSED
    is_stalled: bool = False
    is_complete: bool = False
    unclean: int = 0


def steady(start: float, count: int, *, fps: float = 10, delay: float = 0.0, width: int = 64) -> list[Any]:
    """Images from a camera whose timestamps begin at 0."""
    return [(n / fps, start + n / fps + delay, width) for n in range(count)]


class Bed:
    """A clock, connections that follow scripts, and what became of them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.scripts: list[Script] = []
        self.patience: list[float] = []
        self.opened = self.killed = self.closed = 0
        self.ranges: list[tuple[float, float]] = []
        self.events: list[StreamEvent] = []
        self.problems: list[OSError] = []

    def source(self, uri: str = "http://u:pw@camera/live") -> LiveSource:
        return LiveSource(
            request_from_address(address_from_uri(uri)),
            on_event=self.events.append,
            backoff=Backoff(uniform=self._uniform),
            clock=lambda: self.now,
        )

    def _uniform(self, low: float, high: float) -> float:
        self.ranges.append((low, high))
        return 0.0  # the wait is over at once

    def connection(self, request: object, *, patience: float, clock: Callable[[], float]) -> FakeConnection:
        self.patience.append(patience)
        if self.problems:
            raise self.problems.pop()
        self.opened += 1
        return FakeConnection(self, self.scripts.pop(0))

    def frames(self, source: LiveSource, *scripts: Script) -> list[Frame]:
        """All frames of connections that follow the scripts; then the source is closed."""
        self.scripts = [*scripts, Script(is_complete=True)]
        return list(source)

    def states(self) -> list[StreamState | None]:
        return [event.state for event in self.events]


class FakeConnection:
    codec, fps = "h264", 25.0

    def __init__(self, bed: Bed, script: Script) -> None:
        self.bed, self.script = bed, script
        self.counts = Counts(unclean=script.unclean)
        self.is_stalled, self.is_complete = script.is_stalled, script.is_complete

    def images(self) -> Generator[LiveImage, None, None]:
        for pts, arrived_at, width in self.script.images:
            self.bed.now = max(self.bed.now, arrived_at)
            yield LiveImage(av.VideoFrame(width, 32, "yuv420p"), pts, arrived_at, None)

    def failure(self) -> Failure:
        return self.script.failure

    def kill(self) -> None:
        self.bed.killed += 1

    def close(self) -> None:
        self.bed.closed += 1


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bed]:
    bed = Bed()
    monkeypatch.setattr(source_module, "Connection", bed.connection)
    yield bed
    assert bed.killed >= bed.closed == bed.opened > 0


def test_frames_go_on_after_a_reconnect_with_rising_times_on_our_clock(bed: Bed) -> None:
    source = bed.source()
    frames = bed.frames(source, Script(steady(100, 3)), Script(steady(107, 2)))
    assert [frame.index for frame in frames] == [frame.sequence for frame in frames] == list(range(5))
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0, 0.1, 0.2, 7, 7.1])
    assert [frame.captured_at for frame in frames] == pytest.approx([100, 100.1, 100.2, 107, 107.1])
    assert [frame.rgb().shape for frame in frames] == [(32, 64, 3)] * 5
    assert (source.reconnects, source.stalls, source.arrived, source.codec) == (2, 0, 5, "h264")
    assert (source.info.width, source.info.height, source.info.fps) == (64, 32, 25)
    assert source.is_closed()


def test_each_change_of_state_is_an_event(bed: Bed) -> None:
    bed.frames(bed.source(), Script(steady(100, 3)), Script(failure=SILENT))
    connecting, live, lost, ended = (
        StreamState.CONNECTING, StreamState.LIVE, StreamState.LOST, StreamState.ENDED,
    )  # fmt: skip
    assert bed.states() == [connecting, live, lost, connecting, lost, connecting, ended]
    assert {event.stream for event in bed.events} == {"http://***@camera/live"}
    assert bed.events[1].message == "h264, 64x32"
    failed = bed.events[2]
    assert (failed.code, failed.hint, failed.retry_seconds) == ("ES-SOURCE-REFUSED", "check the port", 0.0)
    assert failed.message.startswith("Connection refused; next attempt in 0.0 s")


def test_the_last_failure_is_kept_until_it_is_live_again(bed: Bed) -> None:
    source = bed.source()
    failures: list[Failure | None] = []
    bed.scripts = [Script(), Script(steady(101, 1)), Script(is_complete=True)]
    for _ in source:
        failures.append(source.last_failure)
        losses = list(source.losses)
    assert failures == [None]
    assert [loss.code for loss in losses] == ["ES-SOURCE-REFUSED"]
    assert source.last_failure == REFUSED


@pytest.mark.parametrize("code", source_module.SLOW_CODES)
def test_a_wrong_password_and_the_like_are_tried_again_slowly(code: str, bed: Bed) -> None:
    bed.frames(bed.source(), Script(failure=Failure(code, "no", "do")))
    assert bed.ranges == [(15.0, 30.0)]


def test_waits_double_until_a_connection_lasted(bed: Bed) -> None:
    long = Script(steady(200, 120))
    bed.frames(bed.source(), Script(), Script(), Script(steady(150, 5)), long, Script())
    assert [high for _, high in bed.ranges] == [0.5, 1.0, 2.0, 0.5, 1.0]
    assert {low for low, _ in bed.ranges} == {0.0}


def test_a_source_that_stalls_gets_twice_the_time_until_a_connection_lasted(bed: Bed) -> None:
    source = bed.source()
    stall = Script(failure=SILENT, is_stalled=True)
    bed.frames(source, *[stall] * 6, Script(), Script(steady(300, 120)))
    assert bed.patience == [1, 2, 4, 8, 16, 16, 16, 16, 1]
    assert (source.stalls, source.reconnects) == (6, 8)
    assert bed.states().count(StreamState.STALLED) == 6


def test_frames_of_a_backlog_are_counted_and_not_handed_out(bed: Bed) -> None:
    source = bed.source()
    live = steady(100, 20)
    backlog = [(2 + n / 10, 122 + n / 200, 64) for n in range(200)]
    later = [(23 + n / 10, 123 + n / 10, 64) for n in range(10)]
    frames = bed.frames(source, Script(live + backlog + later))
    assert source.arrived == 230
    assert source.too_old + len(frames) == 230
    # Those that keep pace count once a quarter second has shown it.
    assert [frame.sequence for frame in frames] == [*range(20), *range(223, 230)]
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert source.reconnects == 1  # at its end: a burst is no reason to restart
    assert [event.code for event in bed.events if event.code] == ["ES-SOURCE-REFUSED"]


def test_a_stream_that_does_not_catch_up_is_connected_again_at_once(bed: Bed) -> None:
    source = bed.source()
    late = [(1 + n / 10, 111 + n / 10, 64) for n in range(200)]
    frames = bed.frames(source, Script(steady(100, 10) + late), Script(steady(131, 5)))
    (behind,) = [event for event in bed.events if event.code == "ES-SOURCE-BEHIND"]
    assert (behind.state, behind.retry_seconds) == (StreamState.LOST, 0.0)
    assert len(frames) == 12
    assert 50 <= source.too_old <= 110
    assert len(bed.ranges) == 1  # for the second connection only


def test_a_connection_that_begins_on_a_slow_link_hands_out_nothing_until_it_keeps_pace(bed: Bed) -> None:
    source = bed.source()
    late = [(1 + n / 10, 111 + n / 10, 64) for n in range(100)]
    slow = [(n / 10, 130 + 2 * n, 64) for n in range(3)]  # its first frame came late already, which nothing tells
    burst = [(0.3 + n / 10, 136 + n / 200, 64) for n in range(78)]
    live = [(8.1 + n / 10, 136.4 + n / 10, 64) for n in range(10)]
    frames = bed.frames(source, Script(steady(100, 10) + late), Script(slow + burst + live))
    assert [frame.sequence for frame in frames][10:] == list(range(source.arrived - 6, source.arrived))
    assert source.too_old + len(frames) == source.arrived


def test_a_larger_limit_takes_older_frames(bed: Bed) -> None:
    source = bed.source()
    source.max_age_seconds = 30.0
    late = [(1 + n / 10, 111 + n / 10, 64) for n in range(10)]
    assert len(bed.frames(source, Script(steady(100, 10) + late))) == 20


def test_a_change_of_size_is_followed_and_reported(bed: Bed) -> None:
    source = bed.source()
    sizes = []
    images = [*steady(100, 2), (0.2, 100.2, 32), (0.3, 100.3, 32)]
    bed.scripts = [Script(images), Script(steady(105, 1, width=48)), Script(is_complete=True)]
    for frame in source:
        sizes.append((frame.width, source.info.width, frame.rgb().shape[1]))
    assert sizes == [(64, 64, 64)] * 2 + [(32, 32, 32)] * 2 + [(48, 48, 48)]
    changes = [event for event in bed.events if event.kind == "frame-size"]
    assert [(event.message, event.data) for event in changes] == [
        ("32x32", {"width": 32, "height": 32}),
        ("48x32", {"width": 48, "height": 32}),
    ]


def test_images_that_an_rtsp_server_had_buffered_are_not_handed_out(bed: Bed) -> None:
    source = bed.source("rtsp://camera/live")
    buffered = [(n / 10, 100 + n / 1000, 64) for n in range(20)]
    frames = bed.frames(source, Script(buffered + [(2 + n / 10, 100.1 + n / 10, 64) for n in range(5)]))
    assert len(frames) == 6  # the last one of the buffer, and those that came in time
    assert (source.too_old, source.arrived) == (19, 25)
    assert [frame.sequence for frame in frames] == list(range(19, 25))


def test_an_rtsp_stream_of_one_image_is_not_lost(bed: Bed) -> None:
    assert len(bed.frames(bed.source("rtsp://camera/live"), Script(steady(100, 1)), Script())) == 1


def test_images_that_were_not_clean_are_counted(bed: Bed) -> None:
    source = bed.source()
    bed.frames(source, Script(steady(100, 2), unclean=3), Script(unclean=4))
    assert source.unclean == 7


def test_a_process_that_cannot_be_started_is_tried_again_slowly(bed: Bed) -> None:
    bed.problems = [OSError(24, "Too many open files")]
    frames = bed.frames(bed.source(), Script(steady(100, 2)))
    assert len(frames) == 2
    failed = bed.events[1]
    assert (failed.state, failed.code) == (StreamState.LOST, "ES-SOURCE-COMMAND")
    assert "Too many open files" in failed.message
    assert bed.ranges[0] == (15.0, 30.0)


def test_close_ends_a_wait_at_once(bed: Bed) -> None:
    source = LiveSource(
        request_from_address(address_from_uri("http://camera/live")), backoff=Backoff(uniform=lambda low, high: 1000.0)
    )
    bed.scripts = [Script()]
    lost = threading.Event()
    source.on_event = lambda event: lost.set() if event.state is StreamState.LOST else None
    reader = threading.Thread(target=lambda: list(source))
    reader.start()
    assert lost.wait(PATIENCE_SECONDS)
    source.close()
    source.close()
    reader.join(PATIENCE_SECONDS)
    assert not reader.is_alive()
    assert source.state is StreamState.ENDED


def test_a_consumer_that_stops_closes_the_connection_and_may_go_on_later(bed: Bed) -> None:
    source = bed.source()
    bed.scripts = [Script(steady(100, 5)), Script(steady(110, 2)), Script(is_complete=True)]
    frames = iter(source)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    assert bed.closed == 1
    assert source.state is StreamState.ENDED
    again = list(source)
    assert [frame.index for frame in again] == [0, 1]
    assert again[0].pts_seconds == pytest.approx(10)
