"""What a latency record holds, and what it warns of."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from small_onnx import frames, street_onnx

import edgeseg
from edgeseg.bench import latency
from edgeseg.bench.latency import measure_latency
from edgeseg.measure.diagnostic import diagnostics_from_run
from edgeseg.measure.load import Load
from edgeseg.segmenter import Segmenter

QUIET = Load(wall_seconds=1.0, cpu_seconds=0.5, foreign_cores=0.0)
BUSY = Load(wall_seconds=1.0, cpu_seconds=0.5, foreign_cores=0.7)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Segmenter]:
    with edgeseg.open(street_onnx(tmp_path_factory.mktemp("bench")).path, threads=1) as opened:
        yield opened


class FixedMeter:
    """Stands in for `LoadMeter`."""

    found = QUIET

    def load(self) -> Load:
        return self.found


def test_as_many_samples_as_frames_and_none_of_the_warm_up(segmenter: Segmenter) -> None:
    steps: list[tuple[str, int, int | None]] = []
    found = measure_latency(segmenter, frames(2), n=5, warm_up=3, threads=1, progress=lambda *step: steps.append(step))
    assert {stage: len(samples) for stage, samples in found.samples.items()} == dict.fromkeys(
        ("total", "resize", "infer", "upsample"), 5
    )
    assert {summary.n for summary in found.latency.values()} == {5}
    assert steps == [("bench", n, 5) for n in range(1, 6)]
    assert (found.frames, found.warm_up, found.threads) == (5, 3, 1)
    assert found.fps == pytest.approx(5e3 / sum(found.samples["total"]))
    assert found.cpu_ms > 0


def test_the_record_is_plain_data_with_every_raw_sample(segmenter: Segmenter) -> None:
    found = measure_latency(segmenter, frames(1), n=2, warm_up=0)
    data = json.loads(json.dumps(found.to_dict()))
    assert set(data) == {
        *("frames", "warm_up", "threads", "fps", "cpu_ms", "foreign_cores", "latency", "diagnostics", "device"),
        *("versions", "samples"),
    }
    assert data["threads"] == found.device["threads"]
    assert data["samples"] == found.samples
    assert set(data["latency"]["total"]) == {"n", "mean_ms", "p50_ms", "p90_ms", "p99_ms", "max_ms"}
    assert data["versions"]["edgeseg"]


@pytest.mark.parametrize(
    ("load", "n", "codes"),
    [(QUIET, 100, []), (QUIET, 3, ["few-samples"]), (BUSY, 100, ["foreign-load"])],
)
def test_diagnostics_depend_on_load_and_samples(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, load: Load, n: int, codes: list[str]
) -> None:
    monkeypatch.setattr(FixedMeter, "found", load)
    monkeypatch.setattr(latency, "LoadMeter", FixedMeter)
    found = measure_latency(segmenter, frames(1), n=n, warm_up=0)
    assert [diagnostic.code for diagnostic in found.diagnostics] == codes
    assert found.cpu_ms == pytest.approx(500 / n)


def test_the_message_of_a_diagnostic_has_the_value() -> None:
    foreign, few = diagnostics_from_run(BUSY, 20)
    assert "0.7 cores" in foreign.message
    assert "20 samples" in few.message
    assert "-n 100" in few.hint
    assert set(few.to_dict()) == {"code", "message", "hint", "invalidates"}
    assert diagnostics_from_run(QUIET, 100) == []
