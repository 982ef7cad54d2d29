"""Live streams survive a camera that dies, changes its password or its size, and a network that loses packets.

`benchmarks/stream_faults.py` does the same and more with the times of the real policy; here the back-off is short.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from fault_proxy import UdpProxy
from numbered_clip import NumberedClip, make_numbered_clip, number_of
from rtsp_server import RtspServer, missing_gstreamer
from small_clips import transport_stream
from small_servers import rtsp_camera, server

import edgeseg
from edgeseg.capture.request import request_from_address
from edgeseg.capture.source import LiveSource
from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.video.backoff import Backoff
from edgeseg.video.frame import Frame
from edgeseg.video.source import address_from_uri

PATIENCE_SECONDS = 60.0


class Viewer:
    """Iterates a live source in a thread and keeps the number of each frame, and whether it is clean."""

    def __init__(self, url: str, *clips: NumberedClip) -> None:
        self._clean = {
            (frame.size, number): zlib.crc32(frame.rgb())
            for clip in clips
            for number, frame in enumerate(edgeseg.open_source(clip.video))
        }
        self.frames: list[tuple[tuple[int, int], bool]] = []
        self.events: list[StreamEvent] = []
        backoff = Backoff(least_seconds=0.1, most_seconds=0.5)
        request = request_from_address(address_from_uri(url))
        self.source = LiveSource(  # frames that a busy machine holds up are no reason to connect again
            request, backoff=backoff, on_event=self.events.append, max_age_seconds=PATIENCE_SECONDS
        )
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        for frame in self.source:
            self.frames.append((frame.size, self._is_clean(frame)))

    def _is_clean(self, frame: Frame) -> bool:
        number = number_of(frame.rgb())
        return number is not None and self._clean.get((frame.size, number)) == zlib.crc32(frame.rgb())

    @property
    def damaged(self) -> int:
        """How many frames were not clean."""
        return sum(not clean for _, clean in list(self.frames))

    def wait_frames(self, count: int) -> None:
        """Wait for so many frames more than now."""
        wanted = len(self.frames) + count
        wait_until(lambda: len(self.frames) >= wanted, f"{count} more frames")

    def wait_event(self, state: StreamState, code: str = "") -> None:
        """Wait until the stream was in the state, for the reason of `code`."""
        wait_until(lambda: any(e.state is state and e.code == code for e in list(self.events)), f"{state} {code}")

    def close(self) -> None:
        """End the iteration, which must end."""
        self.source.close()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "close() did not end the iteration"


def wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> NumberedClip:
    return make_numbered_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture
def camera(clip: NumberedClip, without: Callable[[str, str], None]) -> Iterator[RtspServer]:
    """A camera of 320x192 that any user and password open, unless it is restarted with others."""
    if missing := missing_gstreamer():
        without("gstreamer", missing)
    with RtspServer(clip) as running:
        yield running


@pytest.fixture
def view() -> Iterator[Callable[..., Viewer]]:
    """Makes viewers, which are closed at the end of the test."""
    viewers: list[Viewer] = []

    def make(url: str, *clips: NumberedClip) -> Viewer:
        viewers.append(Viewer(url, *clips))
        return viewers[-1]

    yield make
    for viewer in viewers:
        viewer.close()


def test_a_stream_is_live_again_after_the_camera_was_killed_and_started(
    camera: RtspServer, clip: NumberedClip, view: Callable[..., Viewer]
) -> None:
    viewer = view(camera.url, clip)
    viewer.wait_frames(5)
    camera.kill()
    viewer.wait_event(StreamState.LOST, "ES-SOURCE-REFUSED")
    camera.start()
    viewer.wait_frames(5)
    assert viewer.damaged == 0
    assert viewer.source.reconnects >= 1


def test_a_wrong_password_is_tried_again_until_it_is_right(
    camera: RtspServer, clip: NumberedClip, view: Callable[..., Viewer]
) -> None:
    camera.user = "viewer"
    camera.restart(password="other")
    viewer = view(camera.url.replace("://", "://viewer:p%40ss@"), clip)
    viewer.wait_event(StreamState.LOST, "ES-SOURCE-AUTH")
    camera.restart(password="p@ss")
    viewer.wait_frames(5)
    assert "p@ss" not in str(viewer.events)
    assert "p%40ss" not in str(viewer.events)


def test_another_size_after_a_restart_is_followed(
    camera: RtspServer, clip: NumberedClip, view: Callable[..., Viewer], tmp_path: Path
) -> None:
    small = make_numbered_clip(tmp_path, frames=30, size=(96, 160))
    viewer = view(camera.url, clip, small)
    viewer.wait_frames(3)
    camera.restart(clip=small)
    wait_until(lambda: (96, 160) in {size for size, _ in list(viewer.frames)}, "a frame of 160x96")
    assert (viewer.source.info.width, viewer.source.info.height) == (160, 96)
    assert viewer.damaged == 0


def test_a_camera_with_b_frames_is_live_from_its_first_keyframe_on(
    camera: RtspServer, view: Callable[..., Viewer], tmp_path: Path
) -> None:
    clip = make_numbered_clip(tmp_path, frames=60, b_frames=2)
    camera.restart(clip=clip)
    viewer = view(camera.url, clip)
    viewer.wait_frames(5)
    assert (viewer.damaged, viewer.source.reconnects) == (0, 0)


def test_no_damaged_frame_is_handed_on_where_udp_loses_packets(
    camera: RtspServer, clip: NumberedClip, view: Callable[..., Viewer]
) -> None:
    with UdpProxy(camera.port, seed=3) as proxy:
        viewer = view(f"{proxy.url()}?transport=udp", clip)
        viewer.wait_frames(5)
        proxy.loss = 0.2
        wait_until(lambda: proxy.lost >= 8, "lost packets")
        proxy.loss = 0.0
        viewer.wait_frames(20)
        assert viewer.source.unclean or viewer.source.arrived < proxy.sent, "nothing was left out"
        assert viewer.damaged == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="lists the children of a process")
def test_no_reader_outlives_a_parent_that_was_killed() -> None:
    with server(rtsp_camera(transport_stream(300, 10), 10)) as port:  # half a minute, or there may be no reader
        program = f"import edgeseg\nfor frame in edgeseg.open_source('rtsp://127.0.0.1:{port}/'): print(1, flush=True)"
        parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        with parent:
            try:
                assert parent.stdout and parent.stdout.readline() == b"1\n"
                readers = psutil.Process(parent.pid).children(recursive=True)
            finally:
                parent.send_signal(signal.SIGKILL)
        assert readers, "there was no reader process"
        wait_until(lambda: not any(map(is_running, readers)), "the end of the reader")


def is_running(process: psutil.Process) -> bool:
    """Whether it has not ended; a zombie has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
