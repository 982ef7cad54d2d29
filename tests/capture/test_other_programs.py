"""Sources that other programs make: a GStreamer pipeline, and MPEG-TS that is sent to a UDP port."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import socket
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from small_clips import corners, transport_stream

from edgeseg.capture.source import LiveSource
from edgeseg.video.source import open_source

FPS = 20
PATIENCE_SECONDS = 60.0  # far more than this takes


def patient_source(uri: str) -> LiveSource:
    """A source that neither leaves out frames nor connects again because the machine is busy."""
    source = open_source(uri)
    assert isinstance(source, LiveSource)
    source.max_age_seconds = PATIENCE_SECONDS
    source.request = dataclasses.replace(source.request, timeout_seconds=PATIENCE_SECONDS)
    return source


@pytest.fixture
def udp_port() -> Iterator[int]:
    """A port to which a stream without end is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    ended = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for piece in itertools.cycle(transport_stream(100, FPS)):
                for at in range(0, len(piece), 7 * 188):
                    sender.sendto(piece[at : at + 7 * 188], ("127.0.0.1", port))
                if ended.wait(1 / FPS):
                    return

    sending = threading.Thread(target=send)
    sending.start()
    yield port
    ended.set()
    sending.join()


def test_a_stream_to_a_udp_port_is_read(udp_port: int) -> None:
    with patient_source(f"udp://127.0.0.1:{udp_port}") as source:
        frames = list(itertools.islice(source, 10))
        assert source.reconnects == 0
    assert {frame.size for frame in frames} == {(96, 160)}
    assert corners(frames[-1].rgb()) == ["red", "green", "blue", "white"]


def test_a_gstreamer_pipeline_is_read(without: Callable[[str, str], None]) -> None:
    if shutil.which("gst-launch-1.0") is None:
        without("gstreamer", "gst-launch-1.0 is not installed")
    caps = f"video/x-raw,width=160,height=96,framerate={FPS}/1"
    frames = []
    with patient_source(f"gst:videotestsrc is-live=true pattern=red ! {caps} ! jpegenc") as source:
        for frame in source:
            frames.append(frame)
            times = [each.pts_seconds for each in frames[-10:]]  # frames that waited for a busy machine come at once
            if len(times) == 10 and np.median(np.diff(times)) == pytest.approx(1 / FPS, abs=0.5 / FPS):
                break
            assert len(frames) < PATIENCE_SECONDS * FPS
        assert (source.reconnects, source.codec) == (0, "mjpeg")
    assert {frame.size for frame in frames} == {(96, 160)}
    assert frames[-1].rgb().mean((0, 1)) == pytest.approx([254, 0, 0], abs=30)  # its range of colours is not stated
