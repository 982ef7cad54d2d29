"""What other services read of our records."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from bench_records import DEVICE, bench_record

from edgeseg.bench.compare import CPU, WALL, Comparison, Figure, MiouDrop
from edgeseg.bench.export import EXPORTS, export_named, values_from_comparison, values_from_records
from edgeseg.errors import DataError, UnknownNameError
from edgeseg.measure.estimate import Estimate

RECORD = bench_record()
NAME = "bisenetv2-camvid 480x384 openvino fp32"


def test_bencher_has_latency_in_nanoseconds_with_bounds() -> None:
    data = json.loads(json.dumps(EXPORTS["bencher"](values_from_records([RECORD]))))
    assert set(data) == {f"{NAME} single_stream engine", f"{NAME} single_stream frame", f"{NAME} camvid, test"}
    frame = data[f"{NAME} single_stream frame"]
    row = RECORD.row("frame")
    assert row is not None
    assert set(frame) == {"latency", "cpu-time", "throughput"}
    assert frame["latency"]["value"] == pytest.approx(row.latency.p50_ms * 1e6)
    assert frame["throughput"] == {"value": row.fps}
    for measure in ("latency", "cpu-time"):
        assert set(frame[measure]) == {"value", "lower_value", "upper_value"}
        assert frame[measure]["lower_value"] <= frame[measure]["value"] <= frame[measure]["upper_value"]
    assert data[f"{NAME} camvid, test"] == {"miou": {"value": 0.649}}


def test_github_action_benchmark_has_values_of_which_less_is_better() -> None:
    data = json.loads(json.dumps(EXPORTS["github-action-benchmark"](values_from_records([RECORD]))))
    assert {each["unit"] for each in data} == {"ms", "points"}
    assert all({"name", "unit", "value"} <= set(each) <= {"name", "unit", "value", "range", "extra"} for each in data)
    assert len({each["name"] for each in data}) == len(data) == 5  # two of each scope, and mIoU
    (miou,) = (each for each in data if each["unit"] == "points")
    assert miou["value"] == pytest.approx(100 - 64.9)


def test_names_are_equal_for_repetitions_and_differ_for_others() -> None:
    def names(*records: object) -> set[str]:
        return set(EXPORTS["bencher"](values_from_records(records)))  # type: ignore[arg-type]

    assert names(RECORD) == names(bench_record(seed=7, when="later"))
    changes = ({"precision": "int8"}, {"engine": "onnxruntime"}, {"scenario": "offline"}, {"size": (64, 32)})
    others = [bench_record(miou=None, **change) for change in changes]  # type: ignore[arg-type]
    assert not any(names(RECORD) & names(other) for other in others)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"threads": 1}, ("threads=1", "threads=2")),
        ({"device": "gpu"}, ("device=cpu", "device=gpu")),
        ({"streams": 4}, ("streams=1", "streams=4")),
        ({"rate": 12.5}, ("rate=0", "rate=12.5")),
        ({"frame_width": 1920, "frame_height": 1080}, ("frames=1920x1080", "frames=480x384")),
    ],
)
def test_records_of_other_conditions_do_not_overwrite_each_other(
    change: dict[str, object], names: tuple[str, ...]
) -> None:
    other = replace(RECORD, conditions=replace(RECORD.conditions, **change), when="2027")  # type: ignore[arg-type]
    values = EXPORTS["bencher"](values_from_records([RECORD, other]))
    scopes = [f"single_stream {name} {scope}" for name in names for scope in ("engine", "frame")]
    assert set(values) == {f"{NAME} {each}" for each in (*scopes, *(f"{name} camvid, test" for name in names))}
    alone = values_from_records([RECORD, bench_record(precision="int8")])
    assert f"{NAME} single_stream frame" in EXPORTS["bencher"](alone)


def test_machines_have_names_and_of_repetitions_the_newest_is_exported() -> None:
    newer, older = bench_record(engine_ms=30, when="2027"), bench_record(engine_ms=90, when="2025")
    assert values_from_records([newer, RECORD, older]) == values_from_records([newer])
    board = replace(RECORD, device={**DEVICE, "board": "A Board"})
    names = {each.benchmark for each in values_from_records([RECORD, board])}
    assert {name for name in names if name.endswith("frame")} == {
        f"{NAME} single_stream machine={machine} frame" for machine in ("A Board", DEVICE["cpu"])
    }


def test_a_record_without_samples_has_no_bounds() -> None:
    bare = replace(RECORD, rows=(replace(RECORD.rows[0], samples=(), cpu_blocks=()),), accuracy=None)
    (figures,) = EXPORTS["bencher"](values_from_records([bare])).values()
    assert all(set(figure) == {"value"} for figure in figures.values())
    assert all("range" not in each for each in EXPORTS["github-action-benchmark"](values_from_records([bare])))


@pytest.mark.parametrize("status", ["invalid", "inconclusive"])
def test_what_did_not_settle_is_not_exported(status: str) -> None:
    doubtful = replace(bench_record(engine="onnxruntime"), status=status)
    assert values_from_records([RECORD, doubtful]) == values_from_records([RECORD])
    with pytest.raises(DataError) as refused:
        values_from_records([doubtful])
    assert refused.value.code == "ES-DATA-UNSETTLED"


def test_of_a_comparison_the_figures_of_b_are_exported() -> None:
    figures = (Figure("frame", CPU, 10.0, 12.0, None, "inconclusive"), Figure("frame", WALL, 5.0, 6.0, None, "worse"))
    drop = MiouDrop("camvid:", 60, 0.7, 0.69, Estimate(0.01, 0.0, 0.02), 0.005)
    data = EXPORTS["bencher"](values_from_comparison(Comparison("480x384", "a.onnx", "b.onnx", figures, drop)))
    assert data == {
        "b.onnx frame": {"cpu-time": {"value": 12.0}, "latency": {"value": 6e6}},
        "b.onnx camvid:": {"miou": {"value": 0.69}},
    }


def test_an_unknown_format_names_its_neighbour() -> None:
    with pytest.raises(UnknownNameError) as unknown:
        export_named("benchr")
    assert "bencher" in unknown.value.hint
