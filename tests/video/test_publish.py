"""Publishing to real servers on this machine: GStreamer's for RTSP, FFmpeg's for RTMP, and servers that misbehave."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from rtsp_server import SYSTEM_PYTHON, missing_gstreamer
from small_clips import corners, noise, quarters
from small_servers import server, silent
from small_streams import result_of

from edgeseg.errors import FormatError
from edgeseg.video.address import Address
from edgeseg.video.backoff import Backoff
from edgeseg.video.failure import Failure
from edgeseg.video.frame import Frame
from edgeseg.video.sink import open_sink
from edgeseg.video.sink_publish import STALL_SECONDS, PublishSink
from edgeseg.video.source import SourceInfo

INFO = SourceInfo(160, 96, Fraction(25), None, "made up")
PATIENCE_SECONDS = 60.0


def frame(index: int) -> Frame:
    return Frame.from_rgb(index, index / 25, quarters(), captured_at=0.0)


def publish_until(sink: PublishSink, condition: Callable[[], bool], first: int = 0) -> int:
    """Write frames as a camera does until `condition` holds; the number of the next frame."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    for index in itertools.count(first):
        began = time.monotonic()
        sink.write(result_of(frame(index)))
        assert time.monotonic() - began < STALL_SECONDS - 1, "write waited for the server"
        if condition():
            return index + 1
        assert time.monotonic() < deadline, sink.problem
        time.sleep(0.01)
    raise AssertionError


@contextlib.contextmanager
def rtsp_recorder(path: Path, port: int = 0, *login: str) -> Iterator[tuple[int, int]]:
    """The port and the process id of a server that records to `path`."""
    script = Path(__file__).parents[1] / "rtsp_recorder_process.py"
    command = [SYSTEM_PYTHON, str(script), str(path), str(port), *login]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline()), process.pid
        finally:
            process.kill()


@pytest.fixture
def gstreamer(without: Callable[[str, str], None]) -> None:
    if missing := missing_gstreamer():
        without("gstreamer", missing)


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def images_of(path: Path) -> list[av.VideoFrame]:
    """The images of a file that is still written: without its last packet, of which a part may be missing."""
    with av.open(str(path)) as container:
        *whole, _, flush = container.demux(video=0)
        return [image for packet in (*whole, flush) for image in packet.decode()]


def has_images(path: Path, count: int) -> bool:
    """Whether a file that is still written has so many images."""
    with contextlib.suppress(av.FFmpegError, OSError, IndexError, ValueError):  # it has no stream, or no packet
        return len(images_of(path)) >= count
    return False


@pytest.mark.usefixtures("gstreamer")
def test_an_rtsp_server_gets_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "recorded.ts"
    with rtsp_recorder(path) as (port, _), open_sink(f"rtsp://127.0.0.1:{port}/live", INFO) as sink:
        assert isinstance(sink, PublishSink)
        sent = lambda: sink.frames_written - sink.frames_dropped  # noqa: E731
        publish_until(sink, lambda: sent() >= 60 and has_images(path, 40))  # the server keeps the last ones to itself
        sink.close()
        assert (sink.connections, sink.problem) == (1, None)
        images = images_of(path)
    assert len(images) >= 40
    assert corners(images[-1].to_ndarray(format="rgb24")) == ["red", "green", "blue", "white"]
    assert max(np.diff([index for index, image in enumerate(images) if image.key_frame])) <= 25


@pytest.mark.usefixtures("gstreamer")
def test_a_killed_server_is_found_again_when_it_is_back(tmp_path: Path) -> None:
    soon = Backoff(uniform=lambda least, most: 0.05)
    with rtsp_recorder(tmp_path / "first.ts") as (port, pid):
        sink = PublishSink(Address("rtsp", f"rtsp://127.0.0.1:{port}/live"), "libx264", Fraction(25), backoff=soon)
        index = publish_until(sink, lambda: size_of(tmp_path / "first.ts") > 0)
        os.kill(pid, signal.SIGKILL)
        index = publish_until(sink, lambda: sink.problem is not None, index)
        assert sink.problem is not None
        assert sink.problem.code == "ES-PUBLISH"
    dropped = sink.frames_dropped
    index = publish_until(sink, lambda: sink.frames_dropped > dropped, index)
    with rtsp_recorder(tmp_path / "second.ts", port):
        publish_until(sink, lambda: size_of(tmp_path / "second.ts") > 0 and sink.problem is None, index)
        assert (sink.connections, sink.problem) == (2, None)
        sink.close()
    assert sink.frames_dropped > dropped > 0
    assert len(sink.notes) == 1
    assert f"{sink.frames_dropped} of {sink.frames_written} frames were not sent" in sink.notes[0]


@pytest.mark.usefixtures("gstreamer")
def test_a_frozen_server_holds_up_neither_write_nor_close(tmp_path: Path) -> None:
    with rtsp_recorder(tmp_path / "recorded.ts") as (port, pid):
        sink = PublishSink(Address("rtsp", f"rtsp://127.0.0.1:{port}/live"), "libx264", Fraction(25))
        index = publish_until(sink, lambda: size_of(tmp_path / "recorded.ts") > 0)
        os.kill(pid, signal.SIGSTOP)
        noisy = frame(index)
        publish_until(sink, lambda: sink.frames_written > noisy.index + 50, index)
        began = time.monotonic()
        sink.close()
        assert time.monotonic() - began < PATIENCE_SECONDS / 2


@pytest.mark.usefixtures("gstreamer")
def test_a_wrong_password_is_reported_without_it_and_tried_slowly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked: list[float] = []

    def uniform(least: float, most: float) -> float:
        asked.append(least)
        return most

    with rtsp_recorder(tmp_path / "recorded.ts", 0, "admin", "right") as (port, _):
        address = Address("rtsp", f"rtsp://admin:s3cret@127.0.0.1:{port}/live")
        with PublishSink(address, "libx264", Fraction(25), backoff=Backoff(uniform=uniform)) as sink:
            publish_until(sink, lambda: sink.problem is not None)
            assert asked == [15.0]  # the slow end
            shown = f"{sink.name} {sink.problem!r} {sink.problem} {caplog.text}"
        assert "s3cret" not in shown + " ".join(sink.notes)
        assert "admin" not in shown
        right = Address("rtsp", f"rtsp://admin:right@127.0.0.1:{port}/live")
        with PublishSink(right, "libx264", Fraction(25)) as sink:
            publish_until(sink, lambda: sink.connections == 1)


RTMP_SERVER = """
import sys, av
with av.open(sys.argv[1], options={"listen": "1", "timeout": "60"}) as container:
    with av.open(sys.argv[2], "w", format="mpegts", options={"flush_packets": "1"}) as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for packet in container.demux(video=0):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
"""


def test_an_rtmp_server_gets_the_frames(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url, path = f"rtmp://127.0.0.1:{port}/live/key", tmp_path / "recorded.ts"
    receiver = subprocess.Popen([sys.executable, "-c", RTMP_SERVER, url, str(path)])
    try:
        soon = Backoff(uniform=lambda least, most: 0.05)  # until it listens
        with PublishSink(Address("rtmp", url), "libx264", Fraction(25), backoff=soon) as sink:
            sent = lambda: sink.frames_written - sink.frames_dropped  # noqa: E731
            publish_until(sink, lambda: sink.connections == 1 and sent() >= 60 and has_images(path, 40))
        receiver.wait(PATIENCE_SECONDS)
    finally:
        receiver.kill()
        receiver.wait()
    images = images_of(path)
    assert len(images) >= 40
    times = [image.time for image in images[2:]]  # those before waited for the connection
    assert np.diff(times) == pytest.approx([0.04] * (len(times) - 1), abs=2e-3)  # FLV counts milliseconds
    assert corners(images[-1].to_ndarray(format="rgb24")) == ["red", "green", "blue", "white"]


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp"])
def test_a_mute_server_is_given_up_after_a_while_and_its_process_ends(scheme: str) -> None:
    now = [0.0]
    with server(silent) as port:
        sink = PublishSink(
            Address(scheme, f"{scheme}://127.0.0.1:{port}/live"), "libx264", Fraction(25), clock=lambda: now[0]
        )
        sink.write(result_of(frame(0)))
        publisher = sink._publisher
        assert publisher is not None
        now[0] = 9.0
        sink.write(result_of(frame(1)))
        assert sink._publisher is publisher
        now[0] = 11.0
        sink.write(result_of(frame(2)))
        assert sink._publisher is None
        assert sink.problem is not None
        assert not psutil.pid_exists(publisher.pid)
        sink.close()
    assert (sink.frames_written, sink.frames_dropped) == (3, 3)


PUBLISHING = """
import sys, time
from small_clips import quarters
from small_streams import result_of
from edgeseg.video.frame import Frame
from edgeseg.video.sink import open_sink
sink = open_sink(sys.argv[1])
sink.write(result_of(Frame.from_rgb(0, 0.0, quarters())))
print(sink._publisher.pid, flush=True)
time.sleep(600)
"""


def test_a_killed_parent_leaves_no_publisher() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with server(silent) as port:
        command = [sys.executable, "-c", PUBLISHING, f"rtsp://127.0.0.1:{port}/live"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
            try:
                assert parent.stdout is not None
                publisher = psutil.Process(int(parent.stdout.readline()))
            finally:
                parent.kill()
        with contextlib.suppress(psutil.NoSuchProcess):
            publisher.wait(PATIENCE_SECONDS)
    assert not publisher.is_running()


class FakePublisher:
    """Takes everything, or nothing; connected and failed as it is told."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self.request, self.is_connected, self.failure, self.takes = request, False, None, True
        self.bytes, self.waiting_bytes, self.ended = 0, 0, ""

    def write(self, data: bytes) -> int:
        self.bytes += len(data)
        self.waiting_bytes += len(data)
        return len(data)

    def advance(self) -> int:
        taken, self.waiting_bytes = (self.waiting_bytes, 0) if self.takes else (0, self.waiting_bytes)
        return taken

    def close(self, seconds: float) -> None:
        self.ended = "closed"

    def kill(self) -> None:
        self.ended = "killed"


class Fake:
    """A sink with fake publishers, and a clock that the test moves."""

    def __init__(self) -> None:
        self.now, self.index, self.slept, self.publishers = 0.0, 0, [], []
        self.sink = PublishSink(
            Address("rtsp", "rtsp://camera/live"),
            "libx264",
            Fraction(25),
            backoff=Backoff(uniform=lambda least, most: most),
            open_publisher=self.open,
            clock=lambda: self.now,
            sleep=self.slept.append,
        )

    def open(self, request: Mapping[str, Any]) -> Any:
        self.publishers.append(FakePublisher(request))
        return self.publishers[-1]

    def write(self, *, captured_at: float | None = 0.0) -> bool:
        """Whether the next frame was sent."""
        dropped = self.sink.frames_dropped
        frame = Frame.from_rgb(self.index, self.index / 25, quarters(), captured_at=captured_at)
        self.sink.write(result_of(frame))
        self.index += 1
        return self.sink.frames_dropped == dropped


def test_attempts_wait_longer_each_time_and_a_lasting_connection_resets_them() -> None:
    fake = Fake()
    for wait in (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        assert fake.write()  # the first frame opens the connection
        fake.publishers[-1].failure = Failure("ES-SOURCE-REFUSED", "refused", "start it")
        assert not fake.write()
        attempts = len(fake.publishers)
        fake.now += wait - 0.01
        assert not fake.write()
        assert len(fake.publishers) == attempts
        fake.now += 0.02
    assert fake.write()
    fake.publishers[-1].is_connected = True
    assert fake.write()
    fake.now += 10.5
    assert fake.write()
    fake.publishers[-1].failure = Failure("ES-SOURCE-CLOSED", "closed", "look")
    assert not fake.write()
    fake.now += 0.51
    assert fake.write()
    assert {publisher.ended for publisher in fake.publishers[:-1]} == {"killed"}


def test_frames_are_dropped_while_the_server_takes_none_and_the_stall_ends_the_connection() -> None:
    fake = Fake()
    fake.write()
    publisher = fake.publishers[0]
    publisher.is_connected = True
    assert fake.write()
    publisher.takes = False
    assert fake.write()  # it waits with the process
    assert not fake.write()
    fake.now = 9.9
    assert not fake.write()
    assert publisher.ended == ""
    publisher.takes = True
    assert fake.write()
    publisher.takes = False
    fake.write()
    fake.now = 20.0
    assert not fake.write()
    assert publisher.ended == "killed"


def test_a_recording_is_sent_at_its_times_and_a_camera_is_not_held_up() -> None:
    fake = Fake()
    fake.write()
    fake.publishers[0].is_connected = True
    for _ in range(3):
        assert fake.write(captured_at=None)
    assert fake.slept == pytest.approx([0.04, 0.08])  # the clock stands still
    fake.write(captured_at=0.0)
    assert len(fake.slept) == 2


def test_options_of_ours_do_not_reach_the_server() -> None:
    sink = open_sink("rtmp://host/app/key?token=a%26b&bitrate=2M&x=1", INFO)
    assert isinstance(sink, PublishSink)
    assert sink._request["url"] == "rtmp://host/app/key?token=a%26b&x=1"
    assert sink.name == "rtmp://host/app/***?***"  # the key is the password of RTMP
    udp = open_sink("rtsp://host/live?transport=udp", INFO)
    assert isinstance(udp, PublishSink)
    assert (udp._request["url"], udp._request["options"]) == ("rtsp://host/live", {"rtsp_transport": "udp"})
    for uri in ("rtsp://host/live?transport=tpc", "rtmp://host/live?transport=udp", "rtmp://host/live?bitrate=fast"):
        with pytest.raises(FormatError) as caught:
            open_sink(uri, INFO)
        assert caught.value.code == "ES-FORMAT-OPTION"


def test_a_bitrate_limits_what_is_sent() -> None:
    sizes = []
    for query in ("", "?bitrate=100K"):
        fake = Fake()
        sink = open_sink(f"rtsp://host/live{query}", INFO)
        assert isinstance(sink, PublishSink)
        sink._open = fake.open
        for index in range(50):
            sink.write(result_of(Frame.from_rgb(index, index / 25, noise(index), captured_at=0.0)))
            fake.publishers[0].is_connected = True
        sizes.append(fake.publishers[0].bytes)
        sink.close()
    assert sizes[1] < 60_000 < sizes[0]  # two seconds of 100 kbit/s are 25 kB, and the first frame is noise
