"""The types hold for what comes next: a camera that is lost, and comes back with another size."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from small_onnx import street_onnx

import edgeseg
from edgeseg.streaming import stream
from edgeseg.video.frame import Frame
from edgeseg.video.sink import open_sink
from edgeseg.video.source import FrameSource, Loss, SourceInfo, SourceKind

SIZES = ((64, 48), (96, 64))  # WIDTHxHEIGHT before and after
LOST = 5  # frames that nobody saw while the camera was away


class LostCamera(FrameSource):
    """Gives three frames, loses its camera, and gives three of another size.

    Each comes when the one before it was written: of frames that come faster a stream drops some.
    """

    kind: SourceKind = "live"

    def __init__(self) -> None:
        super().__init__(self._info(SIZES[0]))
        self.written = threading.Semaphore(1)

    def _info(self, size: tuple[int, int]) -> SourceInfo:
        return SourceInfo(*size, Fraction(25), None, "fake")

    def _frames(self) -> Generator[Frame, None, None]:
        for index in range(6):
            assert self.written.acquire(timeout=60)
            back = index >= 3
            if index == 3:
                self.losses.append(Loss("ES-SOURCE-LOST", "fake: connection lost after 3 frames, back after 0.2 s"))
                self.info = self._info(SIZES[1])
            sequence = index + LOST * back
            width, height = self.info.width, self.info.height
            rgb = np.full((height, width, 3), 40 * index, np.uint8)
            yield Frame.from_rgb(index, sequence / 25, rgb, captured_at=time.monotonic(), sequence=sequence)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The folder that a stream of the camera was written to."""
    folder = tmp_path / "out"
    uris = [f"{folder}/video.mp4", f"{folder}/masks/", f"{folder}/overlays/%02d.png", f"{folder}/out.jsonl"]
    with edgeseg.open(street_onnx(tmp_path).path, threads=1) as segmenter, LostCamera() as camera:
        sinks = [open_sink(uri, camera.info) for uri in uris]
        report = stream(camera, segmenter, sinks, on_result=lambda result: camera.written.release())
        for sink in sinks:
            sink.close()
    assert (report.frames, report.dropped, len(report.warnings), report.interrupted) == (6, LOST, 1, False)
    return folder


def size_of(path: Path) -> list[tuple[int, int]]:
    with av.open(str(path)) as container:
        return [(frame.width, frame.height) for frame in container.decode(video=0)]


def test_one_video_holds_all_frames_at_the_size_of_the_first(out: Path) -> None:
    assert size_of(out / "video.mp4") == [SIZES[0]] * 6


def test_images_and_masks_have_the_size_of_their_frame(out: Path) -> None:
    expected = [SIZES[0]] * 3 + [SIZES[1]] * 3
    assert [size_of(out / "overlays" / f"{n:02d}.png")[0] for n in range(6)] == expected
    assert [size_of(out / "masks" / f"{n:06d}.png")[0] for n in range(6)] == expected


def test_a_gap_in_the_sequence_shows_what_was_lost(out: Path) -> None:
    lines = [json.loads(line) for line in (out / "out.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == [0, 1, 2, 3, 4, 5]
    assert [line["sequence"] for line in lines] == [0, 1, 2, 8, 9, 10]
    assert [line["size"] for line in lines] == [[48, 64]] * 3 + [[64, 96]] * 3
