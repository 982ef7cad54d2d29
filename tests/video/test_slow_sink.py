"""The types hold for what comes next: a sink that takes predictions alone, and is slow."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from small_onnx import street_onnx
from small_streams import Drawn, Kept

import edgeseg
from edgeseg.predictions import SemanticMask
from edgeseg.streaming import stream
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants

FRAMES = 6


class SlowSink(FrameSink):
    """Keeps shares, and takes its time over each."""

    wants: Wants = "prediction"

    def __init__(self) -> None:
        super().__init__("slow")
        self.indices: list[int] = []
        self.overlays: list[Any] = []

    def _write(self, result: Result) -> bool:
        time.sleep(0.03)
        self.indices.append(result.frame.index)
        self.overlays.append(result.overlay)
        return True


def test_nothing_is_rendered_for_it_and_no_result_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = SlowSink()
    with edgeseg.open(street_onnx(tmp_path).path, threads=1) as segmenter:
        monkeypatch.setattr(SemanticMask, "render", lambda *_, **__: pytest.fail("nobody wants an overlay"))
        report = stream(Drawn(FRAMES), segmenter, sink)
    assert sink.indices == list(range(FRAMES))
    assert sink.overlays == [None] * FRAMES
    assert report.frames == FRAMES


def test_beside_it_another_sink_has_its_overlays(tmp_path: Path) -> None:
    slow, fast = SlowSink(), Kept()
    with edgeseg.open(street_onnx(tmp_path).path, threads=1) as segmenter:
        stream(Drawn(FRAMES), segmenter, [slow, fast])
    assert slow.indices == [frame.index for frame in fast.frames]
    assert len(fast.overlays) == FRAMES
