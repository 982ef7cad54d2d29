"""Benchmarks take as many rounds as are needed to decide which engine is faster."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from edgeseg.autotune.benchmark import EQUAL_WIDTH, MAX_EXTENSION, benchmark, is_uncertain
from edgeseg.measure.estimate import Estimate
from edgeseg.measure.interleaved import Turn

RGB = np.zeros((2, 2, 3), np.uint8)
ROUNDS = 5


class Clocked:
    """A fake segmenter whose n-th turn takes `milliseconds(n)`."""

    def __init__(self, milliseconds: Callable[[int], float]) -> None:
        self.milliseconds, self.turns = milliseconds, 0

    def segment(self, rgb: np.ndarray) -> None: ...


@pytest.fixture(autouse=True)
def without_a_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn(work: partial[None]) -> Turn:
        segmenter: Clocked = work.func.__self__  # type: ignore[attr-defined]
        segmenter.turns += 1
        milliseconds = segmenter.milliseconds(segmenter.turns)
        return Turn((milliseconds,) * 3, milliseconds)

    monkeypatch.setattr("edgeseg.autotune.benchmark.one_turn", turn)


def rounds_until_clear(milliseconds: Callable[[int], float], base: str | None = "float") -> tuple[int, Estimate]:
    runners = {"float": Clocked(lambda number: 10), "int8": Clocked(milliseconds)}
    timings = benchmark(runners, RGB, rounds=ROUNDS, base=base)
    assert len(timings["int8"].rounds) == len(timings["float"].rounds) == runners["int8"].turns
    return runners["int8"].turns, timings["int8"].ratio_to(timings["float"])


@pytest.mark.parametrize("milliseconds", [5, 9.9, 10, 10.1, 20])
def test_a_clear_benchmark_ends_at_once(milliseconds: float) -> None:
    assert rounds_until_clear(lambda number: milliseconds) == (ROUNDS, Estimate(*[milliseconds / 10] * 3))


def test_a_disturbed_benchmark_continues_until_it_is_clear() -> None:
    rounds, ratio = rounds_until_clear(lambda number: 30 if number in (2, 4) else 7)
    assert rounds == 2 * ROUNDS
    assert ratio.high < 1


def test_without_a_base_there_are_no_further_rounds() -> None:
    assert rounds_until_clear(lambda number: 30 if number in (2, 4) else 7, base=None)[0] == ROUNDS


def test_an_undecided_benchmark_ends() -> None:
    rounds, ratio = rounds_until_clear(lambda number: 5 + 10 * (number % 2))
    assert rounds == MAX_EXTENSION * ROUNDS
    assert ratio.low < 1 < ratio.high


def test_equally_fast_engines_are_not_uncertain() -> None:
    assert is_uncertain(Estimate(1, 1 - EQUAL_WIDTH, 1 + EQUAL_WIDTH))
    assert not is_uncertain(Estimate(1, 1 - EQUAL_WIDTH / 3, 1 + EQUAL_WIDTH / 3))
    assert not is_uncertain(Estimate(1.2, 1.0, 1.5))
