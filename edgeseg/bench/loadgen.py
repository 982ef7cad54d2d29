"""The same system under MLPerf's own load generator: a clock that is not ours.

`pip install mlcommons-loadgen`. It issues the queries, takes the times and computes the percentiles; edgeseg only
processes the images.
"""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.bench.system import Finish, System
from edgeseg.errors import MismatchError, UnavailableError

SCENARIOS: Mapping[str, str] = {"single-stream": "SingleStream", "offline": "Offline"}
LOG = "mlperf_log_detail.txt"
MARK = ":::MLLOG"


def import_loadgen() -> Any:
    """The module. UnavailableError where it is not installed."""
    try:
        import mlperf_loadgen
    except ImportError as problem:
        hint = "pip install mlcommons-loadgen"
        raise UnavailableError("--loadgen needs MLPerf's LoadGen", hint=hint, code="ES-MISSING-LOADGEN") from problem
    return mlperf_loadgen


def check_scenario(scenario: str) -> None:
    """MismatchError for a scenario that only edgeseg has."""
    if scenario not in SCENARIOS:
        hint = f"--scenario {' or '.join(SCENARIOS)}"
        raise MismatchError(f"--loadgen does not run {scenario}", hint=hint, code="ES-MISMATCH-OPTIONS")


def run_loadgen(system: System, scenario: str, n: int, typical_ms: float, loadgen: Any = None) -> dict[str, float]:
    """The figures of LoadGen over `n` images: "loadgen_p50_ms", "_p90_ms" and "_p99_ms", or "loadgen_fps" if offline.

    typical_ms: of single-stream, from which it plans. MismatchError for a scenario that only edgeseg has.
    """
    check_scenario(scenario)
    loadgen = loadgen or import_loadgen()
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, SCENARIOS[scenario])
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_query_count = settings.max_query_count = n
    settings.min_duration_ms = 0
    settings.single_stream_expected_latency_ns = round(1e6 * typical_ms)
    settings.offline_expected_qps = 1e3 / typical_ms

    def issue(queries: Sequence[Any]) -> None:  # one of single-stream, all of offline
        in_flight = deque[tuple[Any, Finish]]()
        for query in queries:
            in_flight.append((query.id, system.begin(query.index)))
            if len(in_flight) == system.slots:
                complete(*in_flight.popleft())
        for each in in_flight:
            complete(*each)

    def complete(identifier: Any, finish: Finish) -> None:
        finish()
        loadgen.QuerySamplesComplete([loadgen.QuerySampleResponse(identifier, 0, 0)])

    under_test = loadgen.ConstructSUT(issue, _nothing)
    library = loadgen.ConstructQSL(n, n, _nothing, _nothing)
    try:
        with tempfile.TemporaryDirectory() as folder:
            output, logging = loadgen.LogOutputSettings(), loadgen.LogSettings()
            output.outdir, output.copy_summary_to_stdout = folder, False
            logging.log_output, logging.enable_trace = output, False
            loadgen.StartTestWithLogSettings(under_test, library, settings, logging, "")
            return figures_from_log((Path(folder) / LOG).read_text(encoding="utf-8"), scenario)
    finally:
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(under_test)


def figures_from_log(text: str, scenario: str) -> dict[str, float]:
    """The figures of LoadGen's detailed log."""
    lines = [json.loads(line[len(MARK) :]) for line in text.splitlines() if line.startswith(MARK)]
    values = {line["key"]: line["value"] for line in lines}
    if scenario == "offline":
        return {"loadgen_fps": float(values["result_samples_per_second"])}
    return {f"loadgen_p{p}_ms": values[f"result_{p}.00_percentile_latency_ns"] / 1e6 for p in (50, 90, 99)}


def _nothing(*_: object) -> None:
    """LoadGen calls it to load samples, which are in memory, and to flush queries, of which none waits."""
