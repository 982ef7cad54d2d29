"""What a server or demuxer has buffered is handed out at once when a connection begins: those frames are old."""

from __future__ import annotations

from collections.abc import Iterator

import av
import pytest

from edgeseg.capture import source as source_module
from edgeseg.capture.connection import Counts, LiveImage
from edgeseg.capture.request import request_from_address
from edgeseg.capture.source import LiveSource
from edgeseg.video.failure import Failure
from edgeseg.video.frame import Frame
from edgeseg.video.source import address_from_uri

FPS = 10


class ScriptedConnection:
    """Stands in for a connection whose images arrive at the `arrivals`; the clock is theirs."""

    arrivals: tuple[float, ...] = ()
    now = 0.0

    def __init__(self, request: object, **options: object) -> None:
        self.counts, self.codec, self.fps, self.is_stalled, self.is_complete = Counts(), "h264", FPS, False, False

    def images(self) -> Iterator[LiveImage]:
        for number, arrival in enumerate(self.arrivals):
            type(self).now = arrival
            yield LiveImage(av.VideoFrame(64, 48, "yuv420p"), number / FPS, arrival, None)

    def failure(self) -> Failure:
        return Failure("ES-SOURCE-CLOSED", "the script ended", "")

    def kill(self) -> None:
        """Nothing runs."""

    close = kill


def frames_of(monkeypatch: pytest.MonkeyPatch, uri: str, arrivals: tuple[float, ...]) -> tuple[LiveSource, list[Frame]]:
    monkeypatch.setattr(ScriptedConnection, "arrivals", arrivals)
    monkeypatch.setattr(source_module, "Connection", ScriptedConnection)
    source = LiveSource(request_from_address(address_from_uri(uri)), clock=lambda: ScriptedConnection.now)
    source.on_event = lambda event: source.close() if event.code else None  # after the first connection
    return source, list(source)


BACKLOG = tuple(100 + number / 1000 for number in range(9))  # 0.9 s of images within 8 ms
LIVE = tuple(100.1 + number / FPS for number in range(5))


def test_of_a_backlog_at_the_start_only_the_newest_frame_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    source, frames = frames_of(monkeypatch, "rtsp://camera/", BACKLOG + LIVE)
    assert [frame.sequence for frame in frames] == [8, 9, 10, 11, 12, 13]
    assert source.arrived == 14
    assert source.too_old == 8


def test_every_frame_of_a_stream_without_a_backlog_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    source, frames = frames_of(monkeypatch, "rtsp://camera/", LIVE)
    assert [frame.sequence for frame in frames] == [0, 1, 2, 3, 4]
    assert source.too_old == 0


def test_a_connection_of_one_frame_hands_it_on(monkeypatch: pytest.MonkeyPatch) -> None:
    _, frames = frames_of(monkeypatch, "rtsp://camera/", LIVE[:1])
    assert len(frames) == 1


def test_a_command_that_is_faster_than_real_time_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _, frames = frames_of(monkeypatch, "exec:cat", BACKLOG)
    assert len(frames) == len(BACKLOG)
