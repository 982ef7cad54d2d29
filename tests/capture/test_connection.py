"""One connection to a source: its images, and why they ended."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from small_clips import make_clip

from edgeseg.capture.connection import Connection, LiveImage
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
