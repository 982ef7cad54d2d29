"""What benchmarks/cpu_under_load.py makes of its runs: medians, the largest change, runs that say nothing of load."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
OPTIONS = argparse.Namespace(model="net", size="", threads=None, rounds=3, images=150)


@pytest.fixture
def cpu_under_load(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    import cpu_under_load

    return cpu_under_load


def made_run(cpu_ms: float, p50_ms: float, *codes: str, status: str = "settled", foreign: float = 0.02) -> Any:
    """A record of `edgeseg bench`; end to end takes twice as long as the engine alone."""
    rows = [
        {"scope": scope, "cpu_ms": factor * cpu_ms, "latency": {"p50_ms": factor * p50_ms}}
        for scope, factor in (("engine", 1.0), ("frame", 2.0))
    ]
    diagnostics = [{"code": code} for code in codes]
    return {"rows": rows, "status": status, "diagnostics": diagnostics, "load": {"foreign_cores": foreign}}


def record_of(script: Any, loaded: list[Any]) -> Any:
    quiet = [made_run(cpu_ms, 5.0, foreign=foreign) for cpu_ms, foreign in ((10.0, 0.01), (90.0, 0.03), (10.0, 0.02))]
    return script.record_from_runs([("openvino", "int8", quiet, loaded)], OPTIONS, 2)


def test_the_change_is_that_of_the_medians_by_scope(cpu_under_load: Any) -> None:
    loaded = [made_run(cpu_ms, 9.0, "foreign-load", foreign=2.0) for cpu_ms in (10.5, 1.0, 10.5)]
    record = record_of(cpu_under_load, loaded)
    assert record.tables[0].rows == [
        ["openvino", "int8", "engine", "10.0", "10.5", "+5.0%", "5.0", "9.0"],
        ["openvino", "int8", "end to end", "20.0", "21.0", "+5.0%", "10.0", "18.0"],
    ]
    assert [verdict.met for verdict in record.verdicts] == [True, True, True]
    assert record.foreign_cores == 0.03  # of the quiet runs alone
    assert [len(record.data["runs"][0][side]) for side in ("quiet", "loaded")] == [3, 3]


@pytest.mark.parametrize(("cpu_ms", "met"), [(10.9, True), (9.1, True), (11.1, False), (8.9, False)])
def test_a_change_of_a_tenth_in_either_direction_is_too_much(cpu_under_load: Any, cpu_ms: float, met: bool) -> None:
    record = record_of(cpu_under_load, [made_run(cpu_ms, 9.0, "foreign-load")])
    assert [verdict.met for verdict in record.verdicts[:2]] == [met, met]  # of the engine, and end to end


def test_a_loaded_run_that_does_not_say_so_is_counted(cpu_under_load: Any) -> None:
    marked = [made_run(10.0, 9.0, "foreign-load"), made_run(10.0, 9.0, status="inconclusive")]
    assert record_of(cpu_under_load, marked).verdicts[2].met
    verdict = record_of(cpu_under_load, [*marked, made_run(10.0, 9.0, "few-samples")]).verdicts[2]
    assert (verdict.met, verdict.found) == (False, "2 of 3")
