"""The record of a run: exact on a segmenter with known times, whole on a real one."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_bench import FakeClock, FakeSegmenter
from small_onnx import frames, street_onnx

import edgeseg
from edgeseg.artifact import Artifact
from edgeseg.bench import benchmark as module
from edgeseg.bench import scenario
from edgeseg.bench.benchmark import BenchOptions, benchmark
from edgeseg.bench.record import BenchRecord, Row, Stages
from edgeseg.bench.scenario import ScenarioRun
from edgeseg.bench.stages import FileRun
from edgeseg.errors import EdgeSegError
from edgeseg.measure.diagnostic import Diagnostic
from edgeseg.measure.load import Load
from edgeseg.measure.recorder import LatencyRecorder, Summary, summary_from_samples
from edgeseg.measure.resources import Resources
from edgeseg.segmenter import PredictionFuture

Times = Callable[[int], float]


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return street_onnx(tmp_path_factory.mktemp("bench"))


class RecordingSegmenter(FakeSegmenter):
    """Records its stages, which sum up to 9 ms whatever a frame takes."""

    recorder: LatencyRecorder

    def submit(self, image: Any) -> PredictionFuture:
        future = super().submit(image)
        for stage, milliseconds in future.milliseconds.items():
            self.recorder.add(stage, milliseconds)
        return future

    def latency(self) -> dict[str, Summary]:
        return self.recorder.summaries()

    def clear_latency(self) -> None:
        self.recorder = LatencyRecorder()


def run_fake(
    artifact: Artifact, engine: Times, frame: Times, kind: type[FakeSegmenter] = FakeSegmenter, **options: Any
) -> BenchRecord:
    clock = FakeClock(cores=2.0)
    segmenter: Any = kind(artifact, clock, engine, frame)
    segmenter.clear_latency()
    return benchmark(segmenter, frames(2), BenchOptions(**options), clock=clock)


def constant(seconds: float) -> Times:
    return lambda index: seconds


def test_engine_and_end_to_end_are_exact_and_the_warm_up_does_not_count(artifact: Artifact) -> None:
    record = run_fake(artifact, lambda i: 0.5 if i < 3 else 0.02, lambda i: 0.5 if i < 3 else 0.03)
    engine, frame = record.row("engine"), record.row("frame")
    assert engine is not None
    assert frame is not None
    assert engine.samples == pytest.approx([20.0] * 100)
    assert frame.samples == pytest.approx([30.0] * 100)
    assert (frame.fps, frame.cpu_ms, frame.latency.p99_ms) == pytest.approx((1e3 / 30, 60.0, 30.0))
    assert frame.cpu_blocks == pytest.approx([60.0] * 10)
    assert record.status == "settled"
    assert record.warm_up >= 20


def test_as_many_images_as_take_three_seconds(artifact: Artifact) -> None:
    for seconds, n in ((0.003, 1000), (0.0001, 2000), (0.5, 100)):
        frame = run_fake(artifact, constant(seconds), constant(seconds)).row("frame")
        assert frame is not None
        assert frame.latency.n == n


def test_a_latency_that_drifts_is_inconclusive(artifact: Artifact) -> None:
    record = run_fake(artifact, constant(0.02), lambda index: 0.02 * (1 + 0.002 * index), n=100)
    assert record.status == "inconclusive"
    assert [row.settled for row in record.rows] == [True, False]


def test_a_diagnostic_that_invalidates_makes_the_record_invalid(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttled = Diagnostic("throttled", "it was hot", "cool it", invalidates=True)
    monkeypatch.setattr(module.RunWatch, "diagnostics", lambda self, samples: (throttled,))
    record = run_fake(artifact, constant(0.02), constant(0.02))
    assert (record.status, record.diagnostics) == ("invalid", (throttled,))


THROTTLED = Diagnostic("throttled", "it was hot", "cool it", invalidates=True)
GOVERNOR = Diagnostic("governor", "it is powersave", "set another")


@pytest.fixture
def file_row(monkeypatch: pytest.MonkeyPatch) -> Row:
    """What is measured from file to file: 7 samples."""
    row = module._row("file", ScenarioRun((20.0,) * 7, (30.0,) * 7, 0.14))
    stages = Stages({"engine": summary_from_samples([20.0])}, False, 20.0, 20.0)
    run = FileRun(row, stages, replace(stages, overlapped=True))
    monkeypatch.setattr(module, "measure_file", lambda *words: run)
    return row


def test_a_run_from_file_to_file_must_settle_as_well(artifact: Artifact, file_row: Row) -> None:
    record = run_fake(artifact, constant(0.02), constant(0.02), file=True)
    assert (record.status, record.row("file")) == ("inconclusive", file_row)


def test_what_happens_during_the_run_from_file_to_file_counts(
    artifact: Artifact, file_row: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    diagnostics = {len(file_row.samples): (GOVERNOR, THROTTLED)}
    watch = module.RunWatch
    monkeypatch.setattr(watch, "diagnostics", lambda self, samples: diagnostics.get(len(samples), (GOVERNOR,)))
    record = run_fake(artifact, constant(0.02), constant(0.02), file=True)
    assert record.status == "invalid"
    assert record.diagnostics == (GOVERNOR, replace(THROTTLED, message="file to file: it was hot"))


@pytest.mark.parametrize("busy", [0, 1])
def test_the_load_is_that_of_the_run_that_was_disturbed_most(
    artifact: Artifact, file_row: Row, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    watches: list[Any] = []
    leave = module.RunWatch.__exit__

    def note_load(self: Any, *_: object) -> None:
        leave(self)
        self._load = Load(1.0, 1.0, 0.7 if len(watches) == busy else 0.2)
        watches.append(self)

    monkeypatch.setattr(module.RunWatch, "__exit__", note_load)
    record = run_fake(artifact, constant(0.02), constant(0.02), file=True)
    assert (len(watches), record.load.foreign_cores) == (2, 0.7)


def test_a_camera_has_its_drops_and_the_highest_rate_without_drops(artifact: Artifact) -> None:
    record = run_fake(artifact, constant(0.02), constant(0.05), scenario="camera", n=90)
    engine, frame = record.row("engine"), record.row("frame")
    assert engine is not None
    assert frame is not None
    assert record.conditions.rate == 30.0
    assert engine.extra["dropped"] == 0
    assert frame.extra["dropped"] == pytest.approx(30, abs=2)  # 20 of 30 a second are taken
    assert (engine.extra["highest_rate"], frame.extra["highest_rate"]) == pytest.approx((50.0, 20.0), rel=0.03)


def test_several_cameras_share_the_system(artifact: Artifact) -> None:
    record = run_fake(artifact, constant(0.01), constant(0.01), scenario="multi-stream", n=30)
    frame = record.row("frame")
    assert frame is not None
    assert (record.conditions.streams, record.conditions.rate) == (4, 15.0)
    assert frame.latency.n == 4 * 30
    assert frame.extra["highest_rate"] == pytest.approx(25.0, rel=0.03)


def test_the_search_of_a_camera_is_neither_watched_nor_in_the_stages(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The energy of a frame is that of the watch over its images."""
    events: list[object] = []
    search, leave = scenario.highest_rate, module.RunWatch.__exit__
    monkeypatch.setattr(scenario, "highest_rate", lambda *words: (events.append("search"), search(*words))[1])
    monkeypatch.setattr(module.RunWatch, "__exit__", lambda self, *_: (events.append("watched"), leave(self))[1])
    monkeypatch.setattr(module.RunWatch, "resources", lambda self, images: (events.append(images), Resources(1.0))[1])
    record = run_fake(artifact, constant(0.02), constant(0.02), RecordingSegmenter, scenario="camera", n=20)
    assert events == ["watched", "search", "search", 2 * 20]
    assert record.stages is not None
    assert {stage.n for stage in record.stages.latency.values()} == {20}


@pytest.mark.parametrize(
    ("options", "milliseconds", "period", "codes"),
    [
        ({}, 9.0, 9.0, []),
        ({}, 9.4, 9.4, []),
        ({}, 10.0, 10.0, ["stages-sum"]),
        ({"scenario": "camera"}, 50.0, 9.0, []),  # a frame waits for the one before
    ],
)
def test_the_time_of_a_frame_is_not_the_sum_of_its_stages(
    artifact: Artifact, options: dict[str, Any], milliseconds: float, period: float, codes: list[str]
) -> None:
    record = run_fake(artifact, constant(0.01), constant(milliseconds / 1e3), RecordingSegmenter, **options)
    assert record.stages is not None
    assert (record.stages.sum_ms, record.stages.period_ms) == pytest.approx((9.0, period))
    assert [each.code for each in record.diagnostics if each.code.startswith("stages")] == codes


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (BenchOptions("server"), "ES-NAME"),
        (BenchOptions("camera", loadgen=True), "ES-MISMATCH-OPTIONS"),
        (BenchOptions("offline", loadgen=True), "ES-MISSING-LOADGEN"),
        (BenchOptions(rate=10.0), "ES-MISMATCH-OPTIONS"),
        (BenchOptions("offline", streams=2), "ES-MISMATCH-OPTIONS"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is(
    options: BenchOptions, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)  # makes its import fail
    nothing: Any = None
    with pytest.raises(EdgeSegError) as problem:
        benchmark(nothing, [], options)
    assert problem.value.code == code


def test_the_page_lists_every_field_of_a_record(artifact: Artifact) -> None:
    page = Path(__file__).parents[2] / "docs" / "benchmarking.md"
    table = page.read_text(encoding="utf-8").partition("\n## The record\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert listed == set(run_fake(artifact, constant(0.02), constant(0.02), n=10).to_dict())


def test_a_real_segmenter_gives_a_record_that_is_read_as_it_was_written(artifact: Artifact, tmp_path: Path) -> None:
    with edgeseg.open(artifact.path, threads=1) as segmenter:
        record = benchmark(segmenter, frames(2), BenchOptions(n=12, warm_up=3, file=True, threads=1, images="streets"))
    read = BenchRecord.read(record.write(tmp_path / "record.json"))
    assert json.dumps(read.to_dict()) == json.dumps(record.to_dict())
    assert [row.scope for row in record.rows] == ["engine", "frame", "file"]
    assert [row.latency.n for row in record.rows] == [12, 12, 12]
    assert all(row.cpu_ms > 0 for row in record.rows)
    assert record.stages is not None
    assert record.overlapped is not None
    names = ["decode", "resize", "engine", "upsample", "render", "encode"]
    assert list(record.stages.latency) == list(record.overlapped.latency) == names
    assert record.model.name == artifact.spec.name
    assert (record.conditions.threads, record.warm_up, record.versions["edgeseg"]) == (1, 6, edgeseg.__version__)


def test_the_stages_of_a_run_without_a_file_are_those_of_a_frame(artifact: Artifact) -> None:
    with edgeseg.open(artifact.path, threads=1) as segmenter:
        record = benchmark(segmenter, frames(2), BenchOptions(n=10, warm_up=0))
    assert record.stages is not None
    assert list(record.stages.latency) == ["resize", "engine", "upsample"]
    assert record.stages.sum_ms <= record.stages.period_ms
    assert {each.n for each in record.stages.latency.values()} == {10}
