"""How old a frame is, from the timestamps of its camera."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from edgeseg.capture.age import DRIFT, CaptureClock

FRAMES = st.lists(st.tuples(st.floats(-5, 20), st.floats(0, 30)), min_size=1, max_size=50)


def ages(frames: list[tuple[float, float]]) -> list[float]:
    """The age at arrival of frames that are given as (timestamp, arrival)."""
    clock = CaptureClock()
    return [arrived_at - clock.captured_at(pts, arrived_at) for pts, arrived_at in frames]


def test_a_backlog_of_20_s_that_arrives_within_1_s_is_known_to_be_old() -> None:
    live = [(n / 25, 100 + n / 25) for n in range(250)]
    backlog = [(10 + n / 25, 130 + n / 500) for n in range(500)]
    later = [(31 + n / 25, 131 + n / 25) for n in range(25)]
    found = ages(live + backlog + later)
    assert max(found[:250]) < 1e-9
    assert found[250] == pytest.approx(20, abs=0.05)
    assert found[250 + 250] == pytest.approx(10.5, abs=0.05)  # half of it came in half a second
    assert max(found[250 + 500 :]) < 0.1


def test_a_camera_whose_clock_runs_slow_by_500_ppm_is_never_late() -> None:
    day = [(seconds * (1 - DRIFT), float(seconds)) for seconds in range(86400)]
    assert max(ages(day)) < 1e-6


def test_a_camera_whose_clock_runs_fast_is_never_late() -> None:
    assert max(ages([(seconds * 1.001, float(seconds)) for seconds in range(86400)])) < 1e-6


def test_a_delay_is_forgiven_only_as_fast_as_clocks_drift() -> None:
    frames = [(0.0, 0.0), *((float(n), n + 2.0) for n in range(1, 1001))]
    found = ages(frames)
    assert found[1] == pytest.approx(2, abs=0.01)
    assert found[-1] == pytest.approx(2 - 1000 * DRIFT, abs=0.01)


def test_timestamps_of_b_frames_that_go_back_a_little_keep_the_clock() -> None:
    order = [0, 3, 1, 2, 6, 4, 5]  # decoded late by as much as they were reordered
    found = ages([(n / 25, 10 + at / 25) for at, n in enumerate(order)])
    assert max(found) == pytest.approx(3 / 25, abs=1e-3)


@pytest.mark.parametrize("jump", [-1e6, -3600.0, -1.0, 3600.0, 95443.7])
def test_a_jump_of_the_timestamps_starts_a_new_clock(jump: float) -> None:
    before = [(500 + n / 25, n / 25) for n in range(100)]
    after = [(500 + jump + n / 25, 4 + n / 25) for n in range(100)]
    assert max(ages(before + after)) < 1e-6


@given(FRAMES)
def test_no_frame_is_captured_after_it_arrived(frames: list[tuple[float, float]]) -> None:
    clock, arrived_at, pts = CaptureClock(), 1e5, 1e4
    for step, wait in frames:
        arrived_at, pts = arrived_at + wait, pts + step
        assert clock.captured_at(pts, arrived_at) <= arrived_at


@given(st.lists(st.floats(0, 30), min_size=1, max_size=50), st.floats(-1e6, 1e6))
def test_a_frame_that_was_not_delayed_has_no_age(waits: list[float], start: float) -> None:
    arrived_at = 1e5
    clock = CaptureClock()
    for wait in waits:
        arrived_at += wait
        assert clock.captured_at(arrived_at - start, arrived_at) == pytest.approx(arrived_at, abs=1e-6)
