"""The system under MLPerf's load generator, and without it a reason."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

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


class FakeLoadgen:
    """Issues its queries at once if offline, else one after another, and writes LOG."""

    TestScenario = SimpleNamespace(SingleStream="one", Offline="all")
    TestMode = SimpleNamespace(PerformanceOnly=0)
    TestSettings = LogSettings = LogOutputSettings = SimpleNamespace

    def __init__(self) -> None:
        self.completed: list[int] = []

    def QuerySampleResponse(self, identifier: int, data: int, size: int) -> int:  # noqa: N802
        return identifier

    def QuerySamplesComplete(self, responses: list[int]) -> None:  # noqa: N802
        self.completed += responses

    def ConstructSUT(self, issue: Any, flush: Any) -> Any:  # noqa: N802
        return issue

    def ConstructQSL(self, total: int, fits: int, load: Any, unload: Any) -> int:  # noqa: N802
        return total

    def StartTestWithLogSettings(self, issue: Any, total: int, settings: Any, log: Any, _: str) -> None:  # noqa: N802
        queries = [SimpleNamespace(id=100 + index, index=index) for index in range(total)]
        for part in [queries] if settings.scenario == "all" else [[query] for query in queries]:
            issue(part)
        Path(log.log_output.outdir, "mlperf_log_detail.txt").write_text(LOG)

    def DestroyQSL(self, library: Any) -> None:  # noqa: N802
        pass

    DestroySUT = DestroyQSL


@pytest.mark.parametrize(
    ("scenario", "slots", "at_once"), [("offline", 3, 3), ("offline", 1, 1), ("single-stream", 3, 1)]
)
def test_offline_uses_every_slot_and_completes_each_query_once(scenario: str, slots: int, at_once: int) -> None:
    loadgen, clock = FakeLoadgen(), FakeClock()
    system = FakeSystem(clock, lambda index: 0.01, slots)
    run_loadgen(system, scenario, 10, 10.0, loadgen)
    assert (system.begun, system.most_in_flight) == (list(range(10)), at_once)
    assert loadgen.completed == list(range(100, 110))


@pytest.mark.parametrize(("scenario", "key"), [("single-stream", "loadgen_p50_ms"), ("offline", "loadgen_fps")])
def test_it_issues_as_many_images_as_are_asked_for(scenario: str, key: str) -> None:
    loadgen = pytest.importorskip("mlperf_loadgen", reason="pip install mlcommons-loadgen")
    clock = FakeClock()
    system = FakeSystem(clock, lambda index: 0.001)
    figures = run_loadgen(system, scenario, 20, 1.0, loadgen)
    assert len(system.begun) == 20
    assert figures[key] > 0
