"""One connection to a source: its images, and why they ended."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from small_clips import make_clip

from edgeseg.capture import connection as connection_module
from edgeseg.capture.connection import UNDECODABLE_SECONDS, Connection, LiveImage
from edgeseg.capture.request import request_from_address
from edgeseg.video.failure import Failure
from edgeseg.video.source import address_from_uri

pytestmark = pytest.mark.skipif(shutil.which("cat") is None, reason="cat is not here")


def opened(uri: str) -> tuple[list[LiveImage], Failure, Connection]:
    """All images of a source that ends, and why it ended."""
    connection = Connection(request_from_address(address_from_uri(uri)))
    try:
        return list(connection.images()), connection.failure(), connection
    finally:
        connection.close()


def test_a_command_gives_the_images_of_its_container(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", 12)
    images, failure, connection = opened(f"exec:cat {clip}")
    assert len(images) == connection.counts.packets == 12
    assert [image.pts_seconds for image in images] == pytest.approx([n / 25 for n in range(12)], abs=2e-3)
    assert (connection.codec, connection.counts.unclean, failure.code) == ("mpeg4", 0, "ES-SOURCE-CLOSED")


def test_sound_without_video_is_an_error_with_a_code(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "sound.wav"), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        file.mux(stream.encode(silence))
    images, failure, _ = opened(f"exec:cat {tmp_path / 'sound.wav'}")
    assert (images, failure.code) == ([], "ES-SOURCE-FORMAT")


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 500])
def test_what_is_no_container_is_an_error_of_the_command(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    images, failure, _ = opened(f"exec:cat {tmp_path / 'file'}")
    assert (images, failure.code) == ([], "ES-SOURCE-COMMAND")


def test_a_command_that_fails_is_quoted(tmp_path: Path) -> None:
    images, failure, _ = opened(f"exec:cat {tmp_path / 'none'}")
    assert (images, failure.code) == ([], "ES-SOURCE-COMMAND")
    assert str(tmp_path / "none") in failure.reason


def test_an_unknown_codec_is_an_error_with_a_code(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.avi")
    clip.write_bytes(clip.read_bytes().replace(b"FMP4", b"ZZZZ"))
    images, failure, _ = opened(f"exec:cat {clip}")
    assert (images, failure.code) == ([], "ES-SOURCE-CODEC")


def test_the_reader_is_killed_before_its_reports_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, calls = make_clip(tmp_path / "clip.mkv", 100), list[str]()
    connection = Connection(request_from_address(address_from_uri(f"exec:sh -c 'cat {clip}; exec sleep 1000'")))
    for name in ("kill", "join_reports"):
        call = getattr(connection._process, name)
        monkeypatch.setattr(connection._process, name, lambda name=name, call=call: (calls.append(name), call()))
    images = connection.images()
    next(images)
    images.close()
    connection.close()
    assert calls[:2] == ["kill", "join_reports"]


class FakeProcess:
    """A reader process that no test waits for."""

    stdout, expired, is_complete, failure, last_line = 0, False, False, None, ""

    def __init__(self, *_: object) -> None:
        """Nothing is started."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_: None


class Packets:
    """A container with a packet a second, of which those with the numbers `good` become an image."""

    def __init__(self, good: tuple[int, ...]) -> None:
        self.now, self.count, self.good = 0.0, 0, good
        codec = SimpleNamespace(name="h264", sample_aspect_ratio=None)
        self.streams = SimpleNamespace(
            video=[SimpleNamespace(codec_context=codec, average_rate=1, time_base=Fraction(1, 1))]
        )

    def demux(self, stream: object) -> Iterator[Any]:
        for number in range(1000):
            self.now, self.count = self.now + 1, number + 1
            yield SimpleNamespace(size=1, is_keyframe=True, decode=lambda number=number: self._images(number))

    def _images(self, number: int) -> list[Any]:
        return [SimpleNamespace(pts=number, is_corrupt=False, key_frame=True)] if number in self.good else []

    def __enter__(self) -> Packets:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("good", [(), (50,)])
@pytest.mark.parametrize("patience", [1.0, 2.0])
def test_packets_that_never_become_an_image_end_the_connection(
    good: tuple[int, ...], patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = Packets(good)
    monkeypatch.setattr(connection_module, "ReaderProcess", FakeProcess)
    monkeypatch.setattr(Connection, "_container", lambda self: packets)
    request = request_from_address(address_from_uri("rtsp://127.0.0.1/cam"))
    connection = Connection(request, patience=patience, clock=lambda: packets.now)
    assert len(list(connection.images())) == len(good)
    assert connection.failure().code == "ES-SOURCE-UNDECODABLE"
    assert packets.count == sum(good) + patience * UNDECODABLE_SECONDS + 1 + len(good)
