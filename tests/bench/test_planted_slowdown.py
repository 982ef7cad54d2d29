"""Error rates of an interleaved comparison: a planted slow-down is found, and none is found where there is none.

The turns are simulated, so that there are enough trials to estimate the rates; benchmarks/planted_slowdown.py does the
same with a real engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from edgeseg.bench.compare import CPU, Figure
from edgeseg.bench.compare_engines import BLOCKS, MOST_BLOCKS, compare_turns
from edgeseg.measure.interleaved import Turn

TRIALS = 60
IMAGES = 20  # of a turn


class Machine:
    """Gives turns of engines on a noisy machine. All noise is relative, and of a standard deviation of some percent.

    Its clock drifts like a random walk, up to 30% slower over a run; each turn is disturbed with heavy tails (Student's
    t with 1.5 degrees of freedom, which has no variance); every tenth turn is interrupted, by 20% on average.
    """

    def __init__(self, seed: int, noise: float = 0.01) -> None:
        self.rng, self.noise = np.random.default_rng(seed), noise
        self.drift, self.trend = 1.0, self.rng.uniform(0, 0.3) / (4 * BLOCKS)

    def turn(self, milliseconds: float) -> Turn:
        self.drift *= 1 + self.trend + self.rng.normal(0, 0.003)
        disturbed = 1 + self.noise * abs(self.rng.standard_t(1.5))
        disturbed += self.rng.exponential(0.2) if self.rng.random() < 0.1 else 0
        images = milliseconds * self.drift * disturbed * np.exp(self.rng.normal(0, 0.05, IMAGES))
        return Turn(tuple(images), float(images.mean()))


def comparison(seed: int, slower: float, **options: int) -> dict[str, Figure]:
    machine = Machine(seed)
    figures = compare_turns(lambda: machine.turn(10), lambda: machine.turn(10 * slower), **options)
    return {figure.name: figure for figure in figures}


def answers(slower: float, name: str, trials: int = TRIALS) -> Counter[str]:
    return Counter(comparison(seed, slower)[name].answer for seed in range(trials))


def test_a_slowdown_of_5_percent_is_found() -> None:
    found = answers(1.05, CPU)
    assert found["worse"] >= 0.95 * TRIALS  # 19 of 20
    assert found["better"] + found["equal"] == 0


def test_a_speedup_of_5_percent_is_found() -> None:
    assert answers(1 / 1.05, CPU, trials=20)["better"] >= 19


def test_no_difference_is_found_where_there_is_none() -> None:
    found = answers(1.0, CPU)
    assert found["worse"] + found["better"] <= 0.02 * TRIALS  # the intervals are of 99%
    assert found["equal"] >= 0.5 * TRIALS


def test_the_interval_holds_the_truth_and_the_answer_follows_from_it() -> None:
    figures = [figure for seed in range(20) for figure in comparison(seed, 1.03).values()]
    ratios = [figure.ratio for figure in figures if figure.ratio is not None]
    assert len(ratios) == 40
    assert sum(each.low <= 1.03 <= each.high for each in ratios) >= 38
    assert all(figure.answer == "worse" for figure, ratio in zip(figures, ratios) if ratio.low > 1)


def test_noise_takes_more_blocks_and_a_quiet_machine_the_fewest() -> None:
    def blocks(noise: float) -> int:
        steps: list[int] = []
        machine = Machine(1, noise)
        one: Callable[[], Turn] = lambda: machine.turn(10)  # noqa: E731
        compare_turns(one, one, progress=lambda task, done, total: steps.append(done))  # type: ignore[arg-type]
        return steps[-1]

    assert blocks(0.2) == MOST_BLOCKS
    quiet = Turn((10.0,) * IMAGES, 10.0)
    steps: list[int] = []
    figures = compare_turns(lambda: quiet, lambda: quiet, progress=lambda task, done, total: steps.append(done))  # type: ignore[arg-type]
    assert steps[-1] == BLOCKS
    assert {figure.answer for figure in figures} == {"equal"}


def test_a_clock_that_decides_nothing_takes_no_further_blocks() -> None:
    machine, steps = Machine(1, noise=0.2), list[int]()

    def noisy_wall() -> Turn:
        return Turn(machine.turn(10).latencies, 10.0)

    options = {"progress": lambda task, done, total: steps.append(done)}
    compare_turns(noisy_wall, noisy_wall, until=(CPU,), **options)  # type: ignore[arg-type]
    assert steps[-1] == BLOCKS
    compare_turns(noisy_wall, noisy_wall, **options)  # type: ignore[arg-type]
    assert steps[-1] == MOST_BLOCKS


@pytest.mark.parametrize(("slower", "answer"), [(1.015, "equal"), (1.05, "worse"), (0.95, "better")])
def test_without_noise_the_answer_is_that_of_the_tolerance(slower: float, answer: str) -> None:
    def turn(milliseconds: float) -> Turn:
        return Turn((milliseconds,) * 3, milliseconds)

    figures = compare_turns(lambda: turn(10), lambda: turn(10 * slower), tolerance=0.02)
    assert {figure.answer for figure in figures} == {answer}
    assert figures[0].ratio is not None
    assert figures[0].ratio.value == pytest.approx(slower)


def test_a_cpu_clock_that_shows_nothing_gives_no_answer() -> None:
    still = Turn((10.0,) * 3, 0.0)
    cpu, wall = compare_turns(lambda: still, lambda: still)
    assert (cpu.answer, cpu.ratio, wall.answer) == ("inconclusive", None, "equal")
    assert cpu.reason
