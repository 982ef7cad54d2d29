"""Sources on the network: why they do not open, why they ended, and when their frames came."""

from __future__ import annotations

import functools
import threading
import time
import traceback
from collections.abc import Callable
from http import server as http_server
from pathlib import Path

import numpy as np
import pytest
from small_clips import make_clip, noise, transport_stream
from small_servers import Answer, http, mjpeg_camera, resets_behind, rtsp, rtsp_camera, server, silent, stalls_behind

from edgeseg.capture.probe import probe
from edgeseg.capture.source import LiveSource
from edgeseg.capture.state import StreamEvent, StreamState
from edgeseg.errors import EdgeSegError
from edgeseg.video.file import FileSource
from edgeseg.video.source import address_from_uri, open_source

PATIENCE_SECONDS = 60.0  # far more than this takes
STALL_SECONDS = 3.5  # longer than a busy machine lets a server wait
PAGE = b"<!DOCTYPE html><html><body>" + b"hello " * 300


def file_source(uri: str, **options: object) -> FileSource:
    return FileSource(address_from_uri(uri), **options)


@pytest.fixture
def clip(tmp_path: Path) -> bytes:
    """60 frames with B-frames, of which the decoder holds some back."""
    return make_clip(tmp_path / "clip.mkv", 60, rgb=noise, codec="libx264", codec_options={"bf": "2"}).read_bytes()


@pytest.mark.parametrize(
    ("scheme", "answer", "code", "hint"),
    [
        ("http", http(b"", "401 Unauthorized"), "ES-SOURCE-AUTH", "USER:PASSWORD@"),
        ("rtsp", rtsp("401 Unauthorized"), "ES-SOURCE-AUTH", "USER:PASSWORD@"),
        ("rtsp", rtsp("403 Forbidden"), "ES-SOURCE-AUTH", "USER:PASSWORD@"),
        ("http", http(b"", "404 Not Found"), "ES-SOURCE-NOT-FOUND", "path"),
        ("rtsp", rtsp("404 Not Found"), "ES-SOURCE-NOT-FOUND", "path"),
        ("http", http(b"", "503 Service Unavailable"), "ES-SOURCE-SERVER", "server"),
        ("http", http(PAGE, kind="text/html"), "ES-SOURCE-FORMAT", "page"),
        ("http", lambda client, asked: False, "ES-SOURCE-CLOSED", "address"),
        ("rtsp", http(PAGE, kind="text/html"), "ES-SOURCE-FORMAT", "http://"),
        ("https", http(PAGE, kind="text/html"), "ES-SOURCE-TLS", "http://"),
        ("rtsps", rtsp("200 OK"), "ES-SOURCE-TLS", "rtsp://"),
    ],
)
def test_why_a_url_does_not_open(scheme: str, answer: Answer, code: str, hint: str) -> None:
    with server(answer) as port, pytest.raises(EdgeSegError) as problem:
        probe(f"{scheme}://127.0.0.1:{port}/live")
    assert problem.value.code == code
    assert hint in problem.value.hint


@pytest.mark.parametrize("scheme", ["http", "rtsp", "https"])
def test_a_host_that_says_nothing_is_a_timeout(scheme: str) -> None:
    with server(silent) as port, pytest.raises(EdgeSegError) as problem:
        probe(f"{scheme}://127.0.0.1:{port}/live", timeout_seconds=0.5)
    assert problem.value.code == "ES-SOURCE-TIMEOUT"


@pytest.mark.parametrize("scheme", ["http", "rtsp", "https"])
def test_an_unknown_host_and_a_closed_port(scheme: str) -> None:
    with pytest.raises(EdgeSegError) as problem:
        probe(f"{scheme}://no-such-host.invalid/live")
    assert problem.value.code == "ES-SOURCE-DNS"
    assert "no-such-host.invalid" in problem.value.message
    with pytest.raises(EdgeSegError) as problem:
        probe(f"{scheme}://127.0.0.1:9/live")
    assert problem.value.code == "ES-SOURCE-REFUSED"


def test_a_codec_that_no_decoder_knows_is_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi").read_bytes().replace(b"FMP4", b"ZZZZ")
    with server(http(clip)) as port, pytest.raises(EdgeSegError) as problem:
        probe(f"http://127.0.0.1:{port}/live")
    assert problem.value.code == "ES-SOURCE-CODEC"


@pytest.mark.parametrize("answer", [http(b"", "401 Unauthorized"), http(PAGE), silent, rtsp("401 Unauthorized")])
@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_no_error_shows_a_password(scheme: str, answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    login, query = "admin:s3cr%40t@", "?key=s3cret"  # apart from the line of the call, which a traceback shows
    with server(answer) as port, pytest.raises(EdgeSegError) as problem:
        probe(f"{scheme}://{login}127.0.0.1:{port}/live{query}", timeout_seconds=0.5)
    shown = "".join(traceback.format_exception(problem.value)) + caplog.text + repr(problem.value) + problem.value.hint
    assert "s3cr" not in shown
    assert "admin" not in shown


@pytest.mark.parametrize("password", ["wrong", "a/b", "a?b", "a#b", "[a"])
def test_a_wrong_password_and_one_that_no_url_can_hold(password: str) -> None:
    with server(rtsp("401 Unauthorized")) as port, pytest.raises(EdgeSegError) as problem:
        probe(f"rtsp://admin:{password}@127.0.0.1:{port}/live")
    assert problem.value.code == "ES-SOURCE-AUTH"
    assert "%40" in problem.value.hint


@pytest.mark.parametrize("ends", [lambda start: start, stalls_behind, resets_behind])
def test_a_connection_that_is_lost_keeps_its_frames_and_says_so(clip: bytes, ends: object) -> None:
    start = http(clip[: len(clip) // 2], length=len(clip))
    timeout = STALL_SECONDS if ends is stalls_behind else PATIENCE_SECONDS
    with (
        server(ends(start)) as port,
        file_source(f"http://127.0.0.1:{port}/clip.mkv", timeout_seconds=timeout) as source,
    ):
        times = [frame.pts_seconds for frame in source]
        assert source.kind == "recording"
        assert [loss.code for loss in source.losses] == ["ES-SOURCE-ENDED", "ES-SOURCE-CUT-SHORT"]
        assert [loss.message for loss in source.losses] == source.warnings
        assert "the source ended: " in source.warnings[0]
        assert (f"no data came for {STALL_SECONDS} s" in source.warnings[0]) == (ends is stalls_behind)
    assert len(times) >= 25
    assert np.diff(times) == pytest.approx(1 / 25, abs=1e-3)  # those that the decoder held back, too


def test_a_recording_that_is_read_to_its_end_lost_nothing(clip: bytes) -> None:
    with server(http(clip)) as port, file_source(f"http://127.0.0.1:{port}/clip.mkv") as source:
        assert len(list(source)) == 60
        assert source.losses == []
        assert len(list(source)) == 60  # a recording begins again


def events_of(source: LiveSource) -> list[StreamEvent]:
    """The list to which the events of `source` are added."""
    events: list[StreamEvent] = []
    source.on_event = events.append
    return events


def live_source(uri: str) -> LiveSource:
    """A live source that leaves out no frame because a busy machine held it up."""
    source = open_source(uri)
    assert isinstance(source, LiveSource)
    source.max_age_seconds = PATIENCE_SECONDS
    return source


def test_a_camera_that_ends_is_connected_again() -> None:
    camera = rtsp_camera(transport_stream(60, fps=20), fps=20)
    with server(camera) as port, live_source(f"rtsp://127.0.0.1:{port}/live") as source:
        events, times = events_of(source), []
        for frame in source:
            times.append(frame.pts_seconds)
            if source.reconnects == 1 and source.state is StreamState.LIVE:
                break
    assert len(times) + source.too_old >= 20  # those that come at once, as at the start, count as a backlog
    assert times == sorted(set(times))
    states = [event.state.value for event in events if event.state]
    assert states == ["connecting", "live", "lost", "connecting", "live", "ended"]
    lost = events[2]
    assert (lost.code, lost.retry_seconds is not None) == ("ES-SOURCE-CLOSED", True)


def test_frames_without_timestamps_have_those_of_their_arrival() -> None:
    times: list[float] = []
    with server(mjpeg_camera(600, fps=10)) as port, live_source(f"http://127.0.0.1:{port}/") as source:
        for frame in source:
            times.append(frame.pts_seconds)
            # The first ones wait in the reader while it opens. FFmpeg's guess of 25 fps would make it 0.04 s.
            steps = np.diff(times[-13:])
            if len(times) >= 20 and np.median(steps) == pytest.approx(0.1, abs=0.05):
                break
            assert len(times) < 600
        assert source.reconnects == 0
    assert times == sorted(set(times))


def test_a_stream_on_a_web_server_is_live_unless_it_is_a_file() -> None:
    assert live_source("https://127.0.0.1:9/live.m3u8").kind == "live"
    with pytest.raises(EdgeSegError) as problem:  # a recording is opened at once
        open_source("http://127.0.0.1:9/drive.mp4")
    assert problem.value.code == "ES-SOURCE-REFUSED"


def test_a_stream_that_has_an_end_gives_every_frame_and_ends(clip: bytes) -> None:
    with server(http(clip)) as port, live_source(f"http://127.0.0.1:{port}/stream") as source:
        assert len([frame.sequence for frame in source]) == 60  # the first key frame, too
        assert source.reconnects == 0


@pytest.mark.parametrize(
    ("codec", "options", "pixel_format"),
    [
        ("libsvtav1", {"preset": "12"}, "yuv420p"),  # its decoder has another name than any encoder
        ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}, "yuv420p"),
        ("libx265", {"preset": "ultrafast"}, "yuv420p"),
        ("mjpeg", {"qmin": "2"}, "yuvj420p"),
        ("mpeg4", {"qmin": "2"}, "yuv420p"),
    ],
)
def test_a_stream_of_any_codec_is_passed_on(
    codec: str, options: dict[str, str], pixel_format: str, tmp_path: Path
) -> None:
    path = make_clip(tmp_path / "clip.mkv", 12, codec=codec, codec_options=options, pixel_format=pixel_format)
    with server(http(path.read_bytes())) as port, live_source(f"http://127.0.0.1:{port}/stream") as source:
        source.on_event = lambda event: source.close() if event.code else None  # it would be tried again for ever
        assert len(list(source)) == 12
        assert source.reconnects == 0


def test_segments_of_hls_play_at_their_speed_and_no_frame_is_too_old(tmp_path: Path) -> None:
    make_clip(tmp_path / "live.m3u8", 50, codec="libx264", options={"hls_time": "1", "hls_list_size": "0"})
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http_server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as hosted:
        threading.Thread(target=hosted.serve_forever, daemon=True).start()
        with live_source(f"http://127.0.0.1:{hosted.server_port}/live.m3u8") as source:
            began = time.monotonic()
            count = len(list(source))
            seconds = time.monotonic() - began
            assert (source.too_old, source.reconnects) == (0, 0)
        hosted.shutdown()
    assert count == 50
    assert seconds >= 49 / 25 - 0.1  # at once without pacing


class QuietHandler(http_server.SimpleHTTPRequestHandler):
    """Serves files, and logs nothing."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_closing_ends_a_wait_and_a_read_at_once() -> None:
    for answer in (silent, rtsp("404 Not Found")):
        with server(answer) as port:
            source = live_source(f"rtsp://127.0.0.1:{port}/live")
            source.on_event = closes_after_first_event(source)
            assert list(source) == []


def closes_after_first_event(source: LiveSource) -> Callable[[StreamEvent], None]:
    def on_event(event: StreamEvent) -> None:
        if event.state is StreamState.CONNECTING:
            threading.Timer(0.7, source.close).start()

    return on_event
