"""Races: long enough to tell who is faster, and no longer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgeseg.autotune import benchmark as races
from edgeseg.autotune.benchmark import ALIKE, PATIENCE, benchmark, is_in_doubt
from edgeseg.autotune.estimate import Estimate

RGB = np.zeros((2, 2, 3), np.uint8)
ROUNDS = 5


class Clocked:
    """Stands for a segmenter whose n-th turn takes `milliseconds(n)`."""

    def __init__(self, milliseconds: Callable[[int], float]) -> None:
        self.milliseconds, self.turns = milliseconds, 0

    def segment(self, rgb: np.ndarray) -> None: ...


@pytest.fixture(autouse=True)
def without_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn(segmenter: Clocked, rgb: np.ndarray) -> list[float]:
        segmenter.turns += 1
        return [segmenter.milliseconds(segmenter.turns)] * 3

    monkeypatch.setattr(races, "one_turn", turn)


def rounds_until_clear(milliseconds: Callable[[int], float], base: str | None = "float") -> tuple[int, Estimate]:
    runners = {"float": Clocked(lambda number: 10), "int8": Clocked(milliseconds)}
    laps = benchmark(runners, RGB, rounds=ROUNDS, base=base)
    assert len(laps["int8"].rounds) == len(laps["float"].rounds) == runners["int8"].turns
    return runners["int8"].turns, laps["int8"].ratio_to(laps["float"])


@pytest.mark.parametrize("milliseconds", [5, 9.9, 10, 10.1, 20])
def test_a_clear_race_ends_at_once(milliseconds: float) -> None:
    assert rounds_until_clear(lambda number: milliseconds) == (ROUNDS, Estimate(*[milliseconds / 10] * 3))


def test_a_disturbed_race_goes_on_until_it_is_clear() -> None:
    rounds, ratio = rounds_until_clear(lambda number: 30 if number in (2, 4) else 7)
    assert rounds == 2 * ROUNDS
    assert ratio.high < 1


def test_without_a_base_nobody_asks_who_is_faster() -> None:
    assert rounds_until_clear(lambda number: 30 if number in (2, 4) else 7, base=None)[0] == ROUNDS


def test_what_cannot_be_told_ends_after_some_time() -> None:
    rounds, ratio = rounds_until_clear(lambda number: 5 + 10 * (number % 2))
    assert rounds == PATIENCE * ROUNDS
    assert ratio.low < 1 < ratio.high


def test_two_that_are_as_fast_are_not_in_doubt() -> None:
    assert is_in_doubt(Estimate(1, 1 - ALIKE, 1 + ALIKE))
    assert not is_in_doubt(Estimate(1, 1 - ALIKE / 3, 1 + ALIKE / 3))
    assert not is_in_doubt(Estimate(1.2, 1.0, 1.5))
