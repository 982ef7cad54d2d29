"""The order and the figures of interleaved turns, with clocks that the test sets."""

from __future__ import annotations

from itertools import islice

import pytest

from edgeseg.measure.interleaved import MIN_CALLS, Turn, one_turn, rounds


class Time:
    """Wall and CPU seconds that each call of `work` advances; two threads are busy during it."""

    def __init__(self, *seconds: float) -> None:
        self.wall = self.cpu = 0.0
        self.seconds, self.calls = seconds, 0

    def work(self) -> None:
        seconds = self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1
        self.wall += seconds
        self.cpu += 2 * seconds

    def turn(self, seconds: float) -> Turn:
        return one_turn(self.work, seconds, clock=lambda: self.wall, cpu_clock=lambda: self.cpu)


def test_the_first_call_is_not_measured_and_the_last_one_may_end_late() -> None:
    time = Time(5.0, 0.25)
    turn = time.turn(1.125)
    assert turn.latencies == (250.0,) * 5
    assert turn.cpu_ms == 500.0
    assert time.calls == 6


def test_a_slow_candidate_is_called_a_few_times_all_the_same() -> None:
    assert Time(2.0).turn(0.1) == Turn((2000.0,) * MIN_CALLS, 4000.0)


def test_candidates_take_turns_in_both_directions() -> None:
    order: list[str] = []

    def of(name: str) -> Turn:
        order.append(name)
        return Turn((1.0,), float(len(order)))

    results = list(islice(rounds({name: lambda name=name: of(name) for name in "AB"}), 4))  # type: ignore[misc]
    assert "".join(order) == "ABBAABBA"
    assert [(each["A"].cpu_ms, each["B"].cpu_ms) for each in results] == [(1, 2), (4, 3), (5, 6), (8, 7)]


def test_a_linear_drift_cancels_over_two_rounds() -> None:
    time = 0.0

    def drifting() -> Turn:
        nonlocal time
        time += 1
        return Turn((time,), 100 + time)

    first, second = islice(rounds({"A": drifting, "B": drifting}), 2)
    assert first["A"].cpu_ms + second["A"].cpu_ms == pytest.approx(first["B"].cpu_ms + second["B"].cpu_ms)
