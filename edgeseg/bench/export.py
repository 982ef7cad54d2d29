"""Figures in the formats of services that follow them over time.

Bencher's Metric Format: https://bencher.dev/docs/reference/bencher-metric-format. github-action-benchmark with
`tool: customSmallerIsBetter`: https://github.com/benchmark-action/github-action-benchmark.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.bench.compare import CPU, Comparison
from edgeseg.bench.record import BenchRecord, Row
from edgeseg.errors import DataError, UnknownNameError
from edgeseg.measure.settling import batches_of


@dataclass(frozen=True)
class ExportedValue:
    """One value. benchmark: what was measured, equal for repetitions. measure: "latency", "cpu-time" in ms,
    "throughput" in images a second, or "miou", a fraction. low, high: the smallest and largest of ten parts of the run.
    """

    benchmark: str
    measure: str
    value: float
    low: float | None = None
    high: float | None = None


def values_from_records(records: Iterable[BenchRecord]) -> list[ExportedValue]:
    """The values of all records that settled, of repetitions the newest. DataError where there are none."""
    settled = [record for record in records if record.status == "settled"]
    if not settled:
        message = "no record has settled, so there is nothing to export"
        hint = "measure again on a quiet machine: edgeseg bench MODEL -o FILE.json"
        raise DataError(message, hint=hint, code="ES-DATA-UNSETTLED")
    values: dict[tuple[str, str], ExportedValue] = {}
    for record in sorted(settled, key=lambda each: each.when):
        for value in _values_from_record(record, _difference(record, settled)):
            values[value.benchmark, value.measure] = value
    return list(values.values())


def _values_from_record(record: BenchRecord, difference: str) -> Iterable[ExportedValue]:
    name, scenario = _name(record), record.conditions.scenario
    for row in record.rows:
        yield from _values_from_row(f"{name} {scenario}{difference} {row.scope}", row)
    if record.accuracy is not None:
        yield ExportedValue(f"{name}{difference} {record.accuracy.data}", "miou", record.accuracy.miou)


def _name(record: BenchRecord) -> str:
    model = record.model
    return f"{model.name} {model.width}x{model.height} {model.engine} {model.precision}"


def _difference(record: BenchRecord, records: Iterable[BenchRecord]) -> str:
    """What tells a record from others of its name and scenario, such as " threads=1"; "" where nothing does."""
    own = _distinctions(record)
    subject = (_name(record), record.conditions.scenario)
    alike = [_distinctions(each) for each in records if (_name(each), each.conditions.scenario) == subject]
    return "".join(f" {key}={value}" for key, value in own.items() if any(each[key] != value for each in alike))


def _distinctions(record: BenchRecord) -> dict[str, str]:
    conditions, device = record.conditions, record.device
    return {
        "output": record.model.output,
        "machine": str(device.get("board") or device.get("cpu") or ""),
        "device": conditions.device,
        "threads": str(conditions.threads),
        "streams": str(conditions.streams),
        "rate": f"{conditions.rate:g}",
        "frames": f"{conditions.frame_width}x{conditions.frame_height}",
        "images": conditions.images,
    }


def _values_from_row(name: str, row: Row) -> Iterable[ExportedValue]:
    medians = [statistics.median(part) for part in batches_of(row.samples)]
    yield ExportedValue(name, "latency", row.latency.p50_ms, min(medians, default=None), max(medians, default=None))
    blocks = row.cpu_blocks
    yield ExportedValue(name, "cpu-time", row.cpu_ms, min(blocks, default=None), max(blocks, default=None))
    yield ExportedValue(name, "throughput", row.fps)


def values_from_comparison(comparison: Comparison) -> list[ExportedValue]:
    """The values of B, where both were timed side by side."""
    values = [
        ExportedValue(f"{comparison.b} {each.scope}", "cpu-time" if each.name == CPU else "latency", each.b)
        for each in comparison.figures
    ]
    drop = comparison.miou
    return values if drop is None else [*values, ExportedValue(f"{comparison.b} {drop.data}", "miou", drop.b)]


def bencher(values: Sequence[ExportedValue]) -> dict[str, Any]:
    """Benchmark -> measure -> value. Bencher's own measure "latency" is in ns; "cpu-time" stays in ms."""
    data: dict[str, dict[str, Any]] = {}
    for each in values:
        factor = 1e6 if each.measure == "latency" else 1.0
        bounds = {"value": each.value, "lower_value": each.low, "upper_value": each.high}
        scaled = {key: bound * factor for key, bound in bounds.items() if bound is not None}
        data.setdefault(each.benchmark, {})[each.measure] = scaled
    return data


def github_action_benchmark(values: Sequence[ExportedValue]) -> list[dict[str, Any]]:
    """A list of values of which a smaller one is better: no throughput, and the points that mIoU lacks to 100."""
    data = []
    for each in values:
        if each.measure == "miou":
            name = f"{each.benchmark} mIoU missing to 100"
            data.append({"name": name, "unit": "points", "value": 100 * (1 - each.value)})
        elif each.measure != "throughput":
            entry = {"name": f"{each.benchmark} {each.measure}", "unit": "ms", "value": each.value}
            known = each.low is not None and each.high is not None
            data.append({**entry, **({"range": f"{each.low:.3f} to {each.high:.3f}"} if known else {})})
    return data


EXPORTS: dict[str, Callable[[Sequence[ExportedValue]], Any]] = {
    "bencher": bencher,
    "github-action-benchmark": github_action_benchmark,
}


def export_named(name: str) -> Callable[[Sequence[ExportedValue]], Any]:
    """The format `name`. UnknownNameError, with the nearest name, where there is none."""
    if name not in EXPORTS:
        raise UnknownNameError.among("format", name, EXPORTS)
    return EXPORTS[name]
