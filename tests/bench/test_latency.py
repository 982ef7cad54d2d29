from __future__ import annotations

from pathlib import Path

import pytest
from small_onnx import float_onnx, frames

import edgeseg
from edgeseg.bench.latency import STAGES, measure_latency


def test_every_timed_frame_leaves_a_sample_and_no_other(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    with edgeseg.open(float_onnx(tmp_path).path, threads=1) as segmenter:
        result = measure_latency(
            segmenter, list(frames(3)), n=7, warm_up=4, threads=1, progress=lambda *step: seen.append(step)
        )
    assert result.frames == 7
    assert {stage: len(samples) for stage, samples in result.samples.items()} == dict.fromkeys(STAGES, 7)
    assert seen == [("bench", number, 7) for number in range(1, 8)]
    total = result.latency["total"]
    assert result.fps == pytest.approx(1e3 / total.mean_ms)
    assert result.cpu_ms > 0
    record = result.to_dict()
    assert record["threads"] == 1
    assert record["warm_up"] == 4
    assert record["samples"]["infer"] == result.samples["infer"]
    assert set(record) >= {"fps", "cpu_ms", "foreign_cores", "latency", "caveats", "device", "versions"}
    assert "few-samples" in [caveat["code"] for caveat in record["caveats"]]
