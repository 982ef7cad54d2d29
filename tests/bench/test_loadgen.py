"""The system under MLPerf's load generator, and without it a reason."""

from __future__ import annotations

import sys

import pytest
from small_bench import FakeClock, FakeSystem

from edgeseg.bench.loadgen import figures_from_log, import_loadgen, run_loadgen
from edgeseg.errors import MismatchError, UnavailableError

LOG = """:::MLLOG {"key": "result_50.00_percentile_latency_ns", "value": 5097043, "time_ms": 1.0}
a line of another kind
:::MLLOG {"key": "result_90.00_percentile_latency_ns", "value": 5129587}
:::MLLOG {"key": "result_99.00_percentile_latency_ns", "value": 5270959}
:::MLLOG {"key": "result_samples_per_second", "value": 196.144}
"""


def test_figures_are_read_from_the_log() -> None:
    assert figures_from_log(LOG, "single-stream") == pytest.approx(
        {"loadgen_p50_ms": 5.097043, "loadgen_p90_ms": 5.129587, "loadgen_p99_ms": 5.270959}
    )
    assert figures_from_log(LOG, "offline") == {"loadgen_fps": 196.144}


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    with pytest.raises(UnavailableError) as problem:
        import_loadgen()
    assert problem.value.code == "ES-MISSING-LOADGEN"
    assert "mlcommons-loadgen" in problem.value.hint


def test_cameras_are_no_scenario_of_it() -> None:
    clock = FakeClock()
    with pytest.raises(MismatchError) as problem:
        run_loadgen(FakeSystem(clock, lambda index: 0.01), "camera", 10, 10.0)
    assert problem.value.code == "ES-MISMATCH-OPTIONS"


@pytest.mark.parametrize(("scenario", "key"), [("single-stream", "loadgen_p50_ms"), ("offline", "loadgen_fps")])
def test_it_issues_as_many_images_as_are_asked_for(scenario: str, key: str) -> None:
    loadgen = pytest.importorskip("mlperf_loadgen", reason="pip install mlcommons-loadgen")
    clock = FakeClock()
    system = FakeSystem(clock, lambda index: 0.001)
    figures = run_loadgen(system, scenario, 20, 1.0, loadgen)
    assert len(system.begun) == 20
    assert figures[key] > 0
