"""Which engines are tried: the float ones, int8, and int8 with the blocks float that are worth it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from edgeseg.artifact import Artifact
from edgeseg.autotune.ablation import Ablation, ablation_of_blocks
from edgeseg.autotune.blocks import Block
from edgeseg.autotune.candidate import Candidate
from edgeseg.autotune.evaluator import Evaluator
from edgeseg.autotune.judge import Judge
from edgeseg.errors import EdgeSegError
from edgeseg.progress import Progress
from edgeseg.spec import Precision

MIXED_TRIES = 12
OUT_OF_TIME = "the time ran out before a mixed engine was tried: give more with --minutes"


@dataclasses.dataclass(frozen=True)
class CandidateSet:
    """All candidates that were measured. base: the fastest float engine within the budget. weights: if weighed.

    unsearched: why no mixed engine was tried though int8 was not taken; "" else.
    """

    candidates: tuple[Candidate, ...]
    base: Candidate
    weights: tuple[Ablation, ...] = ()
    unsearched: str = ""

    def best(self) -> Candidate:
        """The fastest one within the budget that is surely faster than `base`; else `base`."""
        able = [each for each in self.candidates if each is not self.base and each.is_within and each.is_faster]
        return min(able, key=lambda each: 0.0 if each.ratio is None else each.ratio.value, default=self.base)


def uniform_candidates(
    first: Artifact, precisions: Sequence[Precision], trial: Evaluator, progress: Progress
) -> CandidateSet:
    """The engine that the judge holds others against, and those of `precisions` throughout; raced together."""
    candidates = [trial.judged(Candidate(str(first.precision), first.precision), first, trial.judge.reference)]
    for number, precision in enumerate(precisions):
        progress("judge", number, len(precisions))
        candidates.append(trial.measured(precision))
    progress("judge", len(precisions), len(precisions))
    return based(trial.raced(candidates, candidates[0].name))


def based(candidates: Sequence[Candidate]) -> CandidateSet:
    """The field, with every latency held against that of its base."""
    floats = [each for each in candidates if each.precision is not Precision.INT8 and each.is_within]
    base = min(floats, key=lambda each: each.p50_ms)
    held = [
        each if each.lap is None or base.lap is None else dataclasses.replace(each, ratio=each.lap.ratio_to(base.lap))
        for each in candidates
    ]
    return CandidateSet(tuple(held), held[list(candidates).index(base)])


def mixed_candidates(
    field: CandidateSet, blocks: Sequence[Block], trial: Evaluator, search: Judge, progress: Progress
) -> CandidateSet:
    """`field` and the mixed engines, tried until one is within the budget, or none can be faster any more.

    Where int8 is accurate enough and too slow, only blocks come back that are faster in floating point; else those
    first that win back the most labels per millisecond.
    """
    int8 = next(each for each in field.candidates if each.precision is Precision.INT8)
    if len(blocks) < 2:
        return field
    try:
        engine = int8.engine or trial.maker.build(Precision.INT8, checked=False)
    except EdgeSegError:  # the candidate says why
        return field
    weights = ablation_of_blocks(blocks, engine, trial, search, progress)
    tried: list[Candidate] = []
    steps = mixes(weights, int8)
    unsearched = "" if steps else "no block stands out that could stay float"
    for number, chosen in enumerate(steps):
        if trial.is_over():
            unsearched = "" if tried else OUT_OF_TIME
            break
        progress("mix", number, None)
        candidate = trial.measured(Precision.INT8, chosen)
        _, candidate = trial.raced([field.base, candidate], field.base.name)
        tried.append(candidate)
        if candidate.is_within or (candidate.ratio is not None and candidate.ratio.low > 1):
            break
    if len(weights) < len(blocks) and not tried:
        unsearched = OUT_OF_TIME
    return CandidateSet((*field.candidates, *tried), field.base, tuple(weights), unsearched)


def mixes(weights: Sequence[Ablation], int8: Candidate) -> list[list[Block]]:
    """Which blocks stay float, one list a try, in the graph's order."""
    free = [weight for weight in weights if weight.is_free]
    steps = [free] if free else []
    if not int8.is_within:
        others = [weight for weight in weights if weight.gain > 0 and weight not in free]
        if len({weight.gain for weight in weights}) > 1:  # equal gains tell no block from another
            others.sort(key=lambda weight: -weight.worth(int8.p50_ms))
            steps += [free + others[: count + 1] for count in range(len(others))]
    whole = len(weights)
    return [[weight.block for weight in weights if weight in step] for step in steps[:MIXED_TRIES] if len(step) < whole]
