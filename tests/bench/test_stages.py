"""Stages of known times: one after another they sum up to the period, overlapped the slowest thread sets it."""

from __future__ import annotations

from collections.abc import Generator
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pytest
from small_bench import FakeClock, FakeSegmenter
from small_onnx import street_onnx

from edgeseg.artifact import Artifact
from edgeseg.bench.record import Stages
from edgeseg.bench.stages import (
    TimedSink,
    TimedSource,
    measure_file,
    run_serial,
    slowest_thread_ms,
    stage_diagnostics,
    stages_from,
    stages_of_frames,
)
from edgeseg.errors import DataError
from edgeseg.measure.recorder import LatencyRecorder, Summary, summary_from_samples
from edgeseg.progress import silent
from edgeseg.video.frame import Frame
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants
from edgeseg.video.source import FrameSource, SourceInfo


class Drawn(FrameSource):
    """Frames whose decoding takes 5 ms."""

    def __init__(self, clock: FakeClock, count: int = 1000) -> None:
        super().__init__(SourceInfo(64, 32, Fraction(25), None, "drawn"))
        self.clock, self.count = clock, count

    def _frames(self) -> Generator[Frame, None, None]:
        for index in range(self.count):
            self.clock.work(0.005)
            yield Frame.from_rgb(index, index / 25, np.zeros((32, 64, 3), np.uint8))


class Written(FrameSink):
    """Takes 7 ms for a frame."""

    wants: ClassVar[Wants] = "overlay"

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("written")
        self.clock = clock

    def _write(self, result: Result) -> bool:
        assert result.overlay is not None
        self.clock.work(0.007)
        return True


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return street_onnx(tmp_path_factory.mktemp("stages"))


def serial_stages(artifact: Artifact) -> Stages:
    clock = FakeClock()
    recorder = LatencyRecorder(clock.now)
    segmenter: Any = FakeSegmenter(artifact, clock, lambda index: 0.0, lambda index: 0.009)
    source, sink = TimedSource(Drawn(clock), clock, recorder), TimedSink(Written(clock), clock, recorder)
    run_serial(source, segmenter, sink, recorder, 20, silent)
    return stages_from(recorder, sink.finished, overlapped=False)


def test_stages_one_after_another_sum_up_to_the_period(artifact: Artifact) -> None:
    stages = serial_stages(artifact)
    found = {name: round(each.mean_ms, 6) for name, each in stages.latency.items()}
    assert found == {"decode": 5, "resize": 1, "engine": 6, "upsample": 2, "render": 0, "encode": 7}
    assert {each.n for each in stages.latency.values()} == {20}
    assert (stages.sum_ms, stages.period_ms) == pytest.approx((21.0, 21.0))
    assert stage_diagnostics(stages) == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_video_without_two_frames_is_refused(artifact: Artifact, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    clock = FakeClock()
    monkeypatch.setattr("edgeseg.bench.stages.open_source", lambda video: Drawn(clock, count))
    segmenter: Any = FakeSegmenter(artifact, clock, lambda index: 0.0, lambda index: 0.009)
    with pytest.raises(DataError) as refused:
        measure_file(segmenter, "short.mp4", clock, 10)
    assert refused.value.code == "ES-DATA-SHORT"
    assert "--video" in refused.value.hint


def constant(milliseconds: float) -> Summary:
    return summary_from_samples([milliseconds] * 3)


def overlapped(period: float) -> Stages:
    times = {"decode": 5.0, "resize": 1.0, "engine": 16.0, "upsample": 3.0, "render": 2.0, "encode": 9.0}
    return Stages({name: constant(each) for name, each in times.items()}, True, sum(times.values()), period)


def test_the_slowest_thread_sets_the_pace() -> None:
    assert slowest_thread_ms(overlapped(20.0)) == pytest.approx(20.0)  # resize, engine and upsampling share a thread


@pytest.mark.parametrize(("period", "codes"), [(18.5, []), (22.0, []), (23.0, ["stages-overlap"])])
def test_a_period_that_no_thread_explains_is_said(artifact: Artifact, period: float, codes: list[str]) -> None:
    found = stage_diagnostics(serial_stages(artifact), overlapped(period))
    assert [diagnostic.code for diagnostic in found] == codes


@pytest.mark.parametrize(("sum_ms", "codes"), [(95.5, []), (104.5, []), (94.0, ["stages-sum"]), (106, ["stages-sum"])])
def test_stages_that_do_not_sum_up_are_said(sum_ms: float, codes: list[str]) -> None:
    found = stage_diagnostics(Stages({"engine": constant(sum_ms)}, False, sum_ms, 100.0))
    assert [diagnostic.code for diagnostic in found] == codes


@pytest.mark.parametrize(("period", "codes"), [(1.19, []), (1.21, ["stages-sum"])])
def test_the_call_of_a_small_network_may_take_a_fifth_of_a_millisecond(period: float, codes: list[str]) -> None:
    found = stage_diagnostics(Stages({"engine": constant(1.0)}, False, 1.0, period))
    assert [diagnostic.code for diagnostic in found] == codes


def test_a_device_that_does_everything_has_no_stages_within() -> None:
    assert stages_of_frames({"total": constant(3.0)}) is None
