from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from edgeseg.autotune import search
from edgeseg.autotune.benchmark import TimingRun, timing_run_from_turns
from edgeseg.autotune.blocks import Block
from edgeseg.autotune.budget import Budget, Cost
from edgeseg.autotune.candidate import Candidate
from edgeseg.autotune.search import (
    OUT_OF_TIME,
    Ablation,
    CandidateSet,
    block_selections,
    candidate_set_from_candidates,
    mixed_candidates,
)
from edgeseg.autotune.summary import decision_summary
from edgeseg.measure.estimate import Estimate, weighted_medians
from edgeseg.measure.interleaved import Turn
from edgeseg.progress import silent
from edgeseg.spec import Precision

BLOCKS = tuple(Block(f"part{i}.*", (f"part{i}.a/Conv", f"part{i}.b/Conv")) for i in range(4))


def timing(ms: float, spread: float = 0.01) -> TimingRun:
    return timing_run_from_turns([Turn((ms * (1 + spread * (i % 3 - 1)),) * 3, 2 * ms) for i in range(9)])


def cost(value: float, width: float = 0.0005) -> Cost:
    return Cost(Estimate(value, value - width, value + width), 0.005, labelled=True)


def candidate(precision: Precision, ms: float, loss: float, blocks: Sequence[Block] = ()) -> Candidate:
    name = f"{precision}-mixed" if blocks else str(precision)
    return Candidate(name, precision, tuple(blocks), engine=object(), cost=cost(loss), timing=timing(ms))  # type: ignore[arg-type]


def candidate_set(int8_ms: float, int8_loss: float, bf16_ms: float = 20) -> CandidateSet:
    candidates = [candidate(Precision.FP32, 40, 0), candidate(Precision.BF16, bf16_ms, 0.0001)]
    return candidate_set_from_candidates([*candidates, candidate(Precision.INT8, int8_ms, int8_loss)])


def summary(of: CandidateSet) -> str:
    return decision_summary(of.best(), of.base, of.candidates, 58, of.unsearched)


def test_the_base_is_the_fastest_float_engine() -> None:
    assert candidate_set(10, 0.001).base.name == "bf16"
    assert candidate_set(10, 0.001, bf16_ms=50).base.name == "fp32"


def test_int8_within_the_budget_wins() -> None:
    result = candidate_set(10, 0.0021)
    assert result.best().name == "int8"
    assert summary(result) == "int8 kept: 2.00x faster than bf16, -0.21 mIoU (-0.26 to -0.16)"


def test_int8_that_is_slower_is_not_taken() -> None:
    assert summary(candidate_set(20.8, 0.001)) == "bf16 kept: int8 is 4% slower here"


def test_int8_that_loses_too_much_is_not_taken() -> None:
    assert summary(candidate_set(10, 0.02)) == (
        "bf16 kept: int8 is 2.00x faster here and loses more than 0.50 mIoU: -2.00 mIoU (-2.05 to -1.95)"
    )


def test_where_the_interval_straddles_the_budget_the_safer_one_wins_and_the_summary_says_so() -> None:
    result = candidate_set(10, 0.0048)
    assert result.best() is result.base
    assert "may lose more than 0.50 mIoU: -0.48 mIoU (-0.53 to -0.43)" in summary(result)


def test_a_build_that_failed_its_check_is_out_with_its_reason() -> None:
    broken = Candidate("int8", Precision.INT8, problem="labels 40.0% of the pixels")
    result = candidate_set_from_candidates([candidate(Precision.FP32, 40, 0), broken])
    assert summary(result) == "fp32 kept: int8 is excluded: labels 40.0% of the pixels"


def test_without_ranges_it_says_so() -> None:
    result = candidate_set_from_candidates([candidate(Precision.FP32, 40, 0)])
    assert summary(result) == "fp32 kept: there are no ranges for int8"


def ablation(index: int, gain: float, lost_ms: float) -> Ablation:
    ratio = 1 + lost_ms / 10
    return Ablation(BLOCKS[index], gain, lost_ms, Estimate(ratio, ratio - 0.01, ratio + 0.01))


def test_the_most_accuracy_a_millisecond_comes_back_first() -> None:
    ablations = [ablation(0, 0.001, 1.0), ablation(1, 0.010, 2.0), ablation(2, 0.004, 0.0), ablation(3, -0.001, 0.5)]
    tried = block_selections(ablations, candidate(Precision.INT8, 10, 0.02))
    assert tried == [[BLOCKS[2]], [BLOCKS[1], BLOCKS[2]], [BLOCKS[0], BLOCKS[1], BLOCKS[2]]]


def test_where_int8_is_right_but_slow_only_blocks_that_are_faster_in_float_come_back() -> None:
    ablations = [ablation(0, 0.001, -1.0), ablation(1, 0.010, 2.0), ablation(2, 0.0, -0.5), ablation(3, 0.0, 0.1)]
    assert block_selections(ablations, candidate(Precision.INT8, 10, 0.001)) == [[BLOCKS[0], BLOCKS[2]]]


class Script:
    """A fake evaluator whose mixed engines lose 0.5 points less, and take 2 ms more, for each float block."""

    builder, rgb, budget = None, None, Budget()

    def __init__(self) -> None:
        self.tried: list[tuple[str, ...]] = []

    def is_out_of_time(self) -> bool:
        return self.budget.minutes == 0

    def scored(self, precision: Precision, blocks: Sequence[Block]) -> Candidate:
        self.tried.append(tuple(block.name for block in blocks))
        return candidate(precision, 10 + 2 * len(blocks), 0.0144 - 0.005 * len(blocks), blocks)

    def timed(self, candidates: Sequence[Candidate], base: str) -> list[Candidate]:
        timings: dict[str, Any] = {each.name: each.timing for each in candidates}
        return [
            dataclasses.replace(each, ratio=each.timing.ratio_to(timings[base])) for each in candidates if each.timing
        ]


def searched(
    uniform: CandidateSet, gains: Sequence[float], monkeypatch: pytest.MonkeyPatch
) -> tuple[CandidateSet, Script]:
    ablations = [ablation(index, gain, 2.0) for index, gain in enumerate(gains)]
    monkeypatch.setattr(search, "ablation_of_blocks", lambda *_: ablations)
    script = Script()
    return mixed_candidates(uniform, BLOCKS, script, scorer=None, progress=silent), script  # type: ignore[arg-type]


def test_blocks_come_back_until_the_budget_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    result, script = searched(candidate_set(10, 0.0144), [0.001, 0.01, 0.003, 0.002], monkeypatch)
    assert script.tried == [("part1.*",), ("part1.*", "part2.*")]
    assert result.best().float_layers == 4
    assert summary(result) == (
        "int8-mixed kept: 1.43x faster than bf16, -0.44 mIoU (-0.49 to -0.39), 4 of 58 layers float (part1.*, part2.*)"
    )


def test_the_search_ends_where_a_mix_is_slower_than_float(monkeypatch: pytest.MonkeyPatch) -> None:
    result, script = searched(candidate_set(10, 0.0144, bf16_ms=11), [0.001, 0.01, 0.003, 0.002], monkeypatch)
    assert len(script.tried) == 1
    assert result.best() is result.base
    assert summary(result).startswith("bf16 kept: int8 is 1.10x faster here and loses more than 0.50 mIoU")


def test_the_search_ends_with_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Script, "budget", Budget(minutes=0))
    result, script = searched(candidate_set(10, 0.0144), [0.001, 0.01, 0.003, 0.002], monkeypatch)
    assert script.tried == []
    assert summary(result).endswith("; " + OUT_OF_TIME)


def test_blocks_that_win_back_alike_are_not_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    result, script = searched(candidate_set(10, 0.0144), [0.002, 0.002, 0.002, 0.002], monkeypatch)
    assert script.tried == []
    assert summary(result).endswith("; no block stands out that could stay float")


def test_a_ratio_is_that_of_the_same_rounds() -> None:
    busy = np.linspace(1, 5, 9)  # a machine that gets busier slows both alike
    first, second = (timing_run_from_turns([Turn((ms * load,), 1.0) for load in busy]) for ms in (10, 8))
    ratio = second.ratio_to(first)
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((0.8, 0.8, 0.8))


def test_the_median_counts_each_value_as_often_as_it_was_drawn() -> None:
    weights = np.array([[1.0, 1, 1], [3, 0, 0], [0, 1, 2]])
    assert weighted_medians(weights, np.array([30.0, 10, 20])).tolist() == [20, 30, 20]
