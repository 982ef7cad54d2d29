"""The number of processes rises while more of them do more frames per second."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgeseg.batch.process_count import WINDOW_SECONDS, ProcessCount


def settled(
    most: int, rate: Callable[[int], float], ready: Callable[[ProcessCount], int] | None = None
) -> ProcessCount:
    """The count after a run whose processes do `rate(count)` frames per second."""
    now, frames = 0.0, 0.0
    count = ProcessCount(most, clock=lambda: now)
    for _ in range(200):
        count.update(int(frames), ready(count) if ready else count.starting)
        now += WINDOW_SECONDS / 4
        frames += rate(count.working) * WINDOW_SECONDS / 4
    return count


@pytest.mark.parametrize(
    ("most", "rate", "working", "measured"),
    [
        (8, lambda count: 10.0 * count, 8, [1, 2, 4, 8]),
        (6, lambda count: 10.0 * count, 6, [1, 2, 4, 6]),
        (8, lambda count: 10.0 * min(count, 2), 2, [1, 2, 4]),
        (8, lambda count: 10.0, 1, [1, 2]),
        (1, lambda count: 10.0, 1, []),
    ],
)
def test_it_doubles_while_that_pays(most: int, rate: Callable[[int], float], working: int, measured: list[int]) -> None:
    count = settled(most, rate)
    assert (count.working, count.is_settled) == (working, True)
    assert sorted(count.rates) == measured
    for number, figure in count.rates.items():
        assert figure == pytest.approx(rate(number), rel=0.1)


def test_a_number_that_is_fixed_is_not_measured() -> None:
    count = ProcessCount(8, fixed=3)
    assert (count.working, count.starting, count.is_settled) == (3, 3, True)


def test_nothing_is_measured_before_the_next_processes_are_ready() -> None:
    count = settled(4, lambda working: 10.0 * working, ready=lambda count: 1)
    assert (count.working, count.is_settled, count.rates) == (1, False, {})


def test_no_more_processes_are_started_than_fit_into_memory() -> None:
    count = ProcessCount(64)
    count.limit_memory(resident_mib=1000, free_mib=3000)
    assert count.starting == 2
    for _ in range(3):
        count.working = count.starting
    assert count.starting == 4


def test_a_limit_holds_for_a_number_that_is_fixed_and_for_one_that_is_measured() -> None:
    fixed = ProcessCount(8, fixed=4)
    fixed.limit(3)
    assert (fixed.working, fixed.starting) == (3, 3)
    now = 0.0
    count = ProcessCount(8, clock=lambda: now)
    count.limit(1)
    for frames in (0, 100):
        count.update(frames, 1)
        now += WINDOW_SECONDS
    assert (count.working, count.starting, count.is_settled) == (1, 1, True)
