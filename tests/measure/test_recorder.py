from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.measure.recorder import MAX_SAMPLES, LatencyRecorder, percentile, summary_from_samples

samples = st.lists(st.floats(0, 1e6), min_size=1, max_size=200)


@given(samples, st.floats(0, 100))
def test_percentiles_are_numpys(values: list[float], percent: float) -> None:
    # numpy interpolates in another order of operations: equal to a few units in the last place
    assert percentile(sorted(values), percent) == pytest.approx(np.percentile(values, percent), rel=1e-12, abs=1e-12)


@given(samples)
def test_a_summary_is_ordered(values: list[float]) -> None:
    found = summary_from_samples(values)
    assert found.n == len(values)
    assert min(values) <= found.p50_ms <= found.p90_ms <= found.p99_ms <= found.max_ms == max(values)
    assert found.mean_ms == pytest.approx(np.mean(values))


def test_the_clock_is_read_once_the_device_is_idle() -> None:
    calls: list[str] = []
    ticks = iter([1.0, 1.5])

    def clock() -> float:
        calls.append("clock")
        return next(ticks)

    recorder = LatencyRecorder(clock, sync=lambda: calls.append("sync"))
    assert [recorder.now(), recorder.now()] == [1.0, 1.5]
    assert calls == ["sync", "clock"] * 2


def test_a_stage_without_samples_has_none() -> None:
    assert LatencyRecorder().samples("other") == []


def test_samples_do_not_grow_for_ever() -> None:
    recorder = LatencyRecorder()
    for index in range(MAX_SAMPLES + 10):
        recorder.add("infer", float(index))
    assert len(recorder.samples("infer")) == MAX_SAMPLES
    assert recorder.samples("infer")[-1] == MAX_SAMPLES + 9
    recorder.clear()
    assert recorder.summaries() == {}
