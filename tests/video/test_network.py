"""Sources on the network: why they do not open, why they ended, and when their frames came."""

from __future__ import annotations

import itertools
import traceback
from pathlib import Path

import numpy as np
import pytest
from small_clips import make_clip, noise, transport_stream
from small_servers import Answer, http, mjpeg_camera, resets_behind, rtsp, rtsp_camera, server, silent, stalls_behind

from edgeseg.errors import EdgeSegError
from edgeseg.video.file import FileSource
from edgeseg.video.source import address_from_uri, open_source

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
        open_source(f"{scheme}://127.0.0.1:{port}/live")
    assert problem.value.code == code
    assert hint in problem.value.hint


@pytest.mark.parametrize("scheme", ["http", "rtsp", "https"])
def test_a_host_that_says_nothing_is_a_timeout(scheme: str) -> None:
    with server(silent) as port, pytest.raises(EdgeSegError) as problem:
        file_source(f"{scheme}://127.0.0.1:{port}/live", timeout_seconds=0.5)
    assert problem.value.code == "ES-SOURCE-TIMEOUT"


@pytest.mark.parametrize("scheme", ["http", "rtsp", "https"])
def test_an_unknown_host_and_a_closed_port(scheme: str) -> None:
    with pytest.raises(EdgeSegError) as problem:
        open_source(f"{scheme}://no-such-host.invalid/live")
    assert problem.value.code == "ES-SOURCE-DNS"
    assert "no-such-host.invalid" in problem.value.message
    with pytest.raises(EdgeSegError) as problem:
        open_source(f"{scheme}://127.0.0.1:9/live")
    assert problem.value.code == "ES-SOURCE-REFUSED"


@pytest.mark.parametrize("answer", [http(b"", "401 Unauthorized"), http(PAGE), silent, rtsp("401 Unauthorized")])
@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_no_error_shows_a_password(scheme: str, answer: Answer, caplog: pytest.LogCaptureFixture) -> None:
    login, query = "admin:s3cr%40t@", "?key=s3cret"  # apart from the line of the call, which a traceback shows
    with server(answer) as port, pytest.raises(EdgeSegError) as problem:
        file_source(f"{scheme}://{login}127.0.0.1:{port}/live{query}", timeout_seconds=0.5)
    shown = "".join(traceback.format_exception(problem.value)) + caplog.text + repr(problem.value) + problem.value.hint
    assert "s3cr" not in shown
    assert "admin" not in shown


@pytest.mark.parametrize("password", ["wrong", "a/b", "a?b", "a#b", "[a"])
def test_a_wrong_password_and_one_that_no_url_can_hold(password: str) -> None:
    with server(rtsp("401 Unauthorized")) as port, pytest.raises(EdgeSegError) as problem:
        open_source(f"rtsp://admin:{password}@127.0.0.1:{port}/live")
    assert problem.value.code == "ES-SOURCE-AUTH"
    assert "%40" in problem.value.hint


@pytest.mark.parametrize("ends", [lambda start: start, stalls_behind, resets_behind])
def test_a_connection_that_is_lost_keeps_its_frames_and_says_so(clip: bytes, ends: object) -> None:
    start = http(clip[: len(clip) // 2], length=len(clip))
    with (
        server(ends(start)) as port,
        file_source(f"http://127.0.0.1:{port}/clip.mkv", timeout_seconds=0.5) as source,
    ):
        times = [frame.pts_seconds for frame in source]
        assert source.kind == "recording"
        assert [loss.code for loss in source.losses] == ["ES-SOURCE-ENDED", "ES-SOURCE-CUT-SHORT"]
        assert [loss.message for loss in source.losses] == source.warnings
        assert "the source ended: " in source.warnings[0]
        assert ("no data came for 0.5 s" in source.warnings[0]) == (ends is stalls_behind)
    assert len(times) >= 25
    assert np.diff(times) == pytest.approx(1 / 25, abs=1e-3)  # those that the decoder held back, too


def test_a_recording_that_is_read_to_its_end_lost_nothing(clip: bytes) -> None:
    with server(http(clip)) as port, file_source(f"http://127.0.0.1:{port}/clip.mkv") as source:
        assert len(list(source)) == 60
        assert source.losses == []
        assert len(list(source)) == 60  # a recording begins again


@pytest.mark.parametrize("stalls", [False, True])
def test_a_camera_that_ends_says_so(stalls: bool) -> None:
    camera = rtsp_camera(transport_stream(40, fps=20), fps=20, stalls=stalls)
    with server(camera) as port, file_source(f"rtsp://127.0.0.1:{port}/live", timeout_seconds=1.0) as source:
        times = [frame.pts_seconds for frame in source]
        assert source.kind == "live"
        assert [loss.code for loss in source.losses] == ["ES-SOURCE-ENDED"]
        assert ("no data came for 1 s" in source.warnings[0]) == stalls
    assert len(times) >= 35
    assert np.diff(times) == pytest.approx(1 / 20, abs=1e-3)  # the camera's own


def test_frames_without_timestamps_have_those_of_their_arrival() -> None:
    with server(mjpeg_camera(24, fps=10)) as port, file_source(f"http://127.0.0.1:{port}/") as source:
        times = [frame.pts_seconds for frame in source]
        assert source.kind == "live"
        assert [loss.code for loss in source.losses] == ["ES-SOURCE-ENDED"]
    assert len(times) == 24
    assert times[0] == 0
    assert times == sorted(set(times))
    assert 1.7 < (times[-1] - times[4]) < 4  # 19 periods of 0.1 s; 0.76 s at FFmpeg's guess of 25 fps


def test_arrival_is_read_from_the_clock() -> None:
    ticks = itertools.count(100)
    clock = lambda: next(ticks)  # noqa: E731
    with server(mjpeg_camera(5, fps=50)) as port, file_source(f"http://127.0.0.1:{port}/", clock=clock) as source:
        frames = list(source)
        assert [frame.pts_seconds for frame in frames] == [0, 2, 4, 6, 8]  # asked once before a packet, once after it
        assert np.diff([frame.captured_at for frame in frames]).tolist() == [2, 2, 2, 2]
