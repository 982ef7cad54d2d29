"""Records of benchmark runs that nobody made, with plausible figures."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgeseg.bench.record import (
    Accuracy,
    BenchRecord,
    Conditions,
    ModelFacts,
    Resources,
    Row,
    Scope,
    Stages,
)
from edgeseg.measure.load import Load
from edgeseg.measure.recorder import Summary, summary_from_samples

DEVICE = {
    "cpu": "Some Processor 9000", "board": "", "machine": "x86_64", "cores": 4, "threads": 8, "isa": ["avx2", "fma"],
    "memory_mib": 16000, "os": "Linux 6.8", "python": "3.11.7",
}  # fmt: skip
VERSIONS = {"edgeseg": "0.1.0", "openvino": "2026.4.1", "numpy": "2.4.6"}
CLASSES = {"Sky": 0.92, "Building": 0.81, "Pole": 0.31, "Road": 0.95, "Car": 0.78, "Bicyclist": 0.52}
STAGES = {"resize": 0.06, "engine": 0.82, "upsample": 0.12}  # shares of the time of a frame


def bench_record(
    *,
    name: str = "bisenetv2-camvid",
    size: tuple[int, int] = (480, 384),
    engine: str = "openvino",
    precision: str = "fp32",
    scenario: str = "single_stream",
    engine_ms: float = 18.0,
    miou: float | None = 0.649,
    count: int = 120,
    seed: int = 1,
    **changes: Any,
) -> BenchRecord:
    """A settled record whose frame takes 1 / 0.82 of `engine_ms`. changes: fields of BenchRecord to replace."""
    noise = random.Random(f"{name} {size} {engine} {precision} {scenario} {seed}")
    engine_row = bench_row("engine", _samples(noise, engine_ms, count))
    frame_row = bench_row("frame", _samples(noise, engine_ms / STAGES["engine"], count), cpu=1.9)
    record = BenchRecord(
        model=ModelFacts(
            name, *size, engine, precision, file=f"{name}.{engine}.{precision}.onnx", sha256=32 * "ab", weights=name
        ),
        conditions=Conditions(
            scenario, threads=2, images="synthetic street", frame_width=size[0], frame_height=size[1]
        ),
        status="settled",
        rows=(engine_row, frame_row),
        load=Load(wall_seconds=9.0, cpu_seconds=16.0, foreign_cores=0.02),
        resources=Resources(rss_mib=412.0),
        device=DEVICE,
        versions=VERSIONS,
        stages=stages_of(frame_row.latency.mean_ms),
        accuracy=None if miou is None else accuracy_of(miou),
        warm_up=40,
        command=f"edgeseg bench {name} --engine {engine} --precision {precision}",
        when="2026-11-29T12:00:00+00:00",
    )
    return replace(record, **changes)


def bench_row(scope: Scope, samples: tuple[float, ...], *, cpu: float = 1.8, **changes: Any) -> Row:
    """The row of those samples. cpu: own CPU ms of a ms of latency."""
    summary = summary_from_samples(samples)
    blocks = tuple(summary.mean_ms * cpu * (1 + (index % 3 - 1) / 200) for index in range(10))
    fps = 1000 / summary.mean_ms if summary.mean_ms else 0.0
    row = Row(scope, summary, fps, summary.mean_ms * cpu, True, samples, blocks)
    return replace(row, **changes)


def stages_of(frame_ms: float, shares: Mapping[str, float] = STAGES) -> Stages:
    """Serial stages that sum to `frame_ms`."""
    latency = {}
    for stage, share in shares.items():
        ms = frame_ms * share
        latency[stage] = Summary(120, ms, ms, 1.05 * ms, 1.2 * ms, 1.4 * ms)
    return Stages(latency, overlapped=False, sum_ms=frame_ms, period_ms=frame_ms * 1.01)


def accuracy_of(miou: float, data: str = "camvid, test", classes: Mapping[str, float] = CLASSES) -> Accuracy:
    """An accuracy whose classes have that mean."""
    mean = sum(classes.values()) / len(classes)
    by_class = {each: min(1.0, iou * miou / mean) for each, iou in classes.items()}
    return Accuracy(data, 233, miou, by_class, {"pixel_accuracy": 0.91})


def _samples(noise: random.Random, ms: float, count: int) -> tuple[float, ...]:
    """Latencies with a floor and a tail."""
    return tuple(ms * (0.97 + noise.lognormvariate(-3.5, 0.7)) for _ in range(count))
