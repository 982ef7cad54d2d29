"""Scenarios on a system with known times and a clock that nobody waits for: every figure is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_bench import FakeClock, FakeSystem

from edgeseg.bench.scenario import Cameras, highest, highest_rate, offline, single_stream
from edgeseg.measure.recorder import summary_from_samples

seconds_lists = st.lists(st.integers(1, 500), min_size=1, max_size=200)


@given(seconds_lists)
def test_single_stream_notes_each_image_and_its_percentiles_are_exact(milliseconds: list[int]) -> None:
    clock = FakeClock(cores=2.0)
    run = single_stream(FakeSystem(clock, lambda index: milliseconds[index] / 1e3), clock, len(milliseconds))
    assert run.milliseconds == pytest.approx(milliseconds)
    assert run.cpu_ms == pytest.approx([2.0 * each for each in milliseconds])
    assert run.fps == pytest.approx(1e3 * len(milliseconds) / sum(milliseconds))
    found = summary_from_samples(run.milliseconds)
    expected = np.percentile(milliseconds, [50, 90, 99])
    assert (found.p50_ms, found.p90_ms, found.p99_ms) == pytest.approx(tuple(expected))


def test_cpu_blocks_are_means_of_tenths() -> None:
    clock = FakeClock()
    run = single_stream(FakeSystem(clock, lambda index: (index // 10 + 1) / 1e3), clock, 100)
    assert run.cpu_blocks == pytest.approx(range(1, 11))


@given(st.integers(1, 4), st.integers(1, 40))
def test_offline_keeps_all_slots_in_use_and_counts_the_time_between_results(slots: int, n: int) -> None:
    clock = FakeClock()
    system = FakeSystem(clock, lambda index: 0.02, slots)
    run = offline(system, clock, n)
    assert system.begun == list(range(n))
    assert system.most_in_flight == min(slots, n)
    assert run.milliseconds == pytest.approx([20.0] * n)
    assert sum(run.milliseconds) == pytest.approx(1e3 * run.seconds)
    assert run.fps == pytest.approx(50.0)


def test_a_camera_that_is_slower_than_the_system_loses_nothing() -> None:
    clock = FakeClock()
    run = Cameras(20.0).run(FakeSystem(clock, lambda index: 0.03), clock, 50)
    assert run.milliseconds == pytest.approx([30.0] * 50)
    assert (run.extra["dropped"], run.extra["jitter_ms"]) == (0, pytest.approx(0.0, abs=1e-6))
    assert clock.time == pytest.approx(100.0 + 49 / 20 + 0.03)


def test_of_a_camera_that_is_faster_the_newest_image_is_processed() -> None:
    clock = FakeClock()
    system = FakeSystem(clock, lambda index: 0.25)
    run = Cameras(10.0).run(system, clock, 20)  # 2.5 arrivals an image
    assert system.begun == [0, 2, 5, 7, 10, 12, 15, 17, 19]
    assert run.extra["dropped"] == 20 - 9
    assert max(run.milliseconds) <= 250 + 100 + 1e-6  # at most one interval old when it is taken


@given(st.integers(1, 30), st.floats(1.0, 100.0), st.integers(1, 5), st.floats(0.001, 0.3))
def test_every_arrival_is_processed_or_dropped(n: int, rate: float, streams: int, seconds: float) -> None:
    clock = FakeClock()
    run = Cameras(rate, streams).run(FakeSystem(clock, lambda index: seconds), clock, n)
    assert len(run.milliseconds) + run.extra["dropped"] == n * streams
    assert min(run.milliseconds) >= 1e3 * seconds - 1e-6  # nothing is ready before it arrived
    assert len(run.milliseconds) >= streams  # each camera got a turn


def test_cameras_take_turns_when_all_wait() -> None:
    clock = FakeClock()
    run = Cameras(10.0, streams=4).run(FakeSystem(clock, lambda index: 0.1), clock, 100)  # four times too many
    each = run.extra["least_fps"] * run.seconds
    assert each == pytest.approx(len(run.milliseconds) / 4, abs=1)


def test_jitter_is_the_deviation_of_the_interval_between_results() -> None:
    clock = FakeClock()
    times = [0.01, 0.03] * 25
    run = Cameras(10.0).run(FakeSystem(clock, lambda index: times[index]), clock, 50)
    assert run.extra["jitter_ms"] == pytest.approx(20.0, rel=0.01)  # intervals of 120 and 80 ms in turn


@given(st.floats(1.0, 100.0))
def test_the_search_finds_the_highest_value_that_holds_and_it_was_tried(limit: float) -> None:
    tried: list[float] = []

    def holds(value: float) -> bool:
        tried.append(value)
        return value <= limit

    found = highest(1.0, 80.0, holds)
    assert found in tried
    assert found <= limit < found + (80.0 - 1.0) / 2**6 or found == 80.0


def test_a_search_that_fails_at_its_lowest_value_finds_nothing() -> None:
    assert highest(1.0, 2.0, lambda value: False) == 0.0


@pytest.mark.parametrize(("seconds", "streams"), [(0.02, 1), (0.02, 4), (0.1, 2)])
def test_the_highest_rate_of_cameras_is_what_the_system_can_do(seconds: float, streams: int) -> None:
    clock = FakeClock()
    found = highest_rate(FakeSystem(clock, lambda index: seconds), clock, 60, 1e3 * seconds, streams)
    assert found == pytest.approx(1 / seconds / streams, rel=0.03)


def test_one_late_image_does_not_end_the_search_and_a_second_one_does() -> None:
    clock = FakeClock()
    hiccups = {30}
    calls = 0

    def seconds(index: int) -> float:
        nonlocal calls
        calls += 1
        return 0.2 if calls in hiccups else 0.05

    steady = highest_rate(FakeSystem(clock, lambda index: 0.05), clock, 60, 50.0)
    assert highest_rate(FakeSystem(clock, seconds), clock, 60, 50.0) == pytest.approx(steady, rel=0.05)
