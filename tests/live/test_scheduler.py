"""Which stream has the engine next."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from edgeseg.live.scheduler import FairScheduler, MeanCosts

COSTS = st.floats(0.001, 10.0)
WEIGHTS = st.floats(0.1, 10.0)
STREAMS = st.lists(st.tuples(COSTS, WEIGHTS), min_size=2, max_size=6)


def run(scheduler: FairScheduler, costs: list[float], ready: list[bool], images: int) -> list[int]:
    """Which streams were served."""
    served = []
    for _ in range(images):
        index = scheduler.next(ready)
        assert ready[index]
        scheduler.served(index, costs[index])
        served.append(index)
    return served


@given(STREAMS, st.integers(1, 300))
def test_the_time_of_the_engine_follows_the_weights_within_one_image(
    streams: list[tuple[float, float]], images: int
) -> None:
    costs, weights = [cost for cost, _ in streams], [weight for _, weight in streams]
    served = run(FairScheduler(weights), costs, [True] * len(streams), images)
    shares = [served.count(index) * cost / weight for index, (cost, weight) in enumerate(streams)]
    one_image = max(cost / weight for cost, weight in streams)
    assert max(shares) - min(shares) <= one_image * (1 + 1e-9)


def test_a_stream_with_expensive_images_gets_no_more_time_than_others() -> None:
    served = run(FairScheduler([1, 1]), [0.4, 0.01], [True, True], 410)
    assert (served.count(0), served.count(1)) == (10, 400)


def test_streams_of_equal_cost_take_turns_from_the_first_image_on() -> None:
    assert run(FairScheduler([1, 1, 1]), [0.01] * 3, [True] * 3, 9) == [0, 1, 2] * 3
    assert run(FairScheduler([1, 1, 1]), [0.0] * 3, [True] * 3, 9) == [0, 1, 2] * 3


def test_a_stream_of_twice_the_weight_gets_two_images_of_three() -> None:
    served = run(FairScheduler([1, 2]), [0.5, 0.5], [True, True], 300)
    assert [served[n : n + 3].count(1) for n in range(0, 300, 3)] == [2] * 100  # without bursts


@given(st.integers(1, 500), COSTS)
def test_an_idle_stream_saves_no_credit(images: int, cost: float) -> None:
    scheduler = FairScheduler([1, 1])
    run(scheduler, [cost, cost], [True, False], images)
    served = run(scheduler, [cost, cost], [True, True], 20)
    assert served.count(0) in (9, 10, 11)


def test_a_stream_that_joins_late_is_not_held_up() -> None:
    scheduler = FairScheduler([1, 1])
    run(scheduler, [0.01, 0.01], [True, False], 1000)
    assert 1 in run(scheduler, [0.01, 0.01], [True, True], 2)


def test_a_stream_that_pauses_for_an_image_after_each_of_its_own_keeps_its_share() -> None:
    scheduler, served = FairScheduler([1, 1]), list[int]()
    for _ in range(300):
        index = scheduler.next([True, not served or served[-1] == 0])
        scheduler.served(index, 0.01)
        served.append(index)
    assert served.count(1) >= 149


def test_one_slow_image_is_followed_by_no_burst() -> None:
    scheduler = FairScheduler([1, 1])
    run(scheduler, [0.01, 0.01], [True, True], 20)
    scheduler.served(0, 1.0)  # the machine was busy
    run(scheduler, [0.01, 0.01], [True, True], 100)  # the other one catches up
    assert run(scheduler, [0.01, 0.01], [True, True], 40).count(0) == 20


def test_a_stream_that_is_chosen_and_has_nothing_to_compute_is_charged_nothing() -> None:
    scheduler = FairScheduler([1, 1])
    assert [scheduler.next([True, True]) for _ in range(3)] == [0, 0, 0]
    assert run(scheduler, [0.01, 0.01], [True, True], 10).count(0) == 5


@pytest.mark.parametrize("weights", [[], [1.0, 0.0], [-1.0], [float("nan")]])
def test_a_weight_is_above_0(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        FairScheduler(weights)


def test_there_must_be_a_stream_that_is_ready() -> None:
    with pytest.raises(ValueError, match="ready"):
        FairScheduler([1, 1]).next([False, False])


def test_other_processes_do_not_change_the_shares_of_streams_of_one_size() -> None:
    scheduler, costs, served = FairScheduler([1, 1]), MeanCosts(), list[int]()
    for image in range(1000):
        index = scheduler.next([True, True])
        seconds = 0.05 if index == 0 and image % 3 == 0 else 0.01  # the machine is busy while the first is served
        scheduler.served(index, costs.add((640, 480), seconds))
        served.append(index)
    assert abs(served.count(0) - served.count(1)) <= 20


def test_images_of_each_size_have_their_own_cost() -> None:
    costs = MeanCosts()
    assert [costs.add(kind, cost) for kind, cost in (("4K", 40.0), ("VGA", 1.0), ("4K", 50.0), ("VGA", 1.0))] == (
        [40.0, 1.0, pytest.approx(41.0), 1.0]
    )
