"""The candidates of a search: float engines, int8, and int8 with those blocks float that are worth it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.artifact import Artifact
from edgeseg.autotune.benchmark import QUICK_ROUNDS, benchmark
from edgeseg.autotune.blocks import Block
from edgeseg.autotune.candidate import Candidate, Evaluator
from edgeseg.autotune.scoring import Scorer
from edgeseg.errors import EdgeSegError
from edgeseg.measure.estimate import Estimate
from edgeseg.progress import Progress
from edgeseg.spec import Precision

MAX_MIXED = 12
LATENCY_NOISE = 0.005  # of the latency: a smaller difference cannot be measured
OUT_OF_TIME = "the time ended before a mixed engine was tried: allow more with --minutes"


@dataclass(frozen=True)
class Ablation:
    """The effect of one float block in an otherwise int8 engine.

    gain: the share of labels that equal the float engine's again. lost_ms: the increase of the median latency; negative
    where float is faster. ratio: the latency relative to the int8 engine.
    """

    block: Block
    gain: float
    lost_ms: float
    ratio: Estimate

    @property
    def is_free(self) -> bool:
        """Whether the engine is faster with this block float, beyond the spread of the rounds."""
        return self.ratio.high < 1

    def gain_per_ms(self, int8_ms: float) -> float:
        """Labels gained per millisecond lost."""
        return self.gain / max(self.lost_ms, LATENCY_NOISE * int8_ms)


@dataclass(frozen=True)
class CandidateSet:
    """All measured candidates. base: the fastest float engine within the budget. ablations: of blocks, if measured.

    unsearched: why no mixed engine was tried although int8 was not chosen; "" otherwise.
    """

    candidates: tuple[Candidate, ...]
    base: Candidate
    ablations: tuple[Ablation, ...] = ()
    unsearched: str = ""

    def best(self) -> Candidate:
        """The fastest candidate within the budget that is faster than `base`; else `base`."""
        better = [each for each in self.candidates if each is not self.base and each.is_within and each.is_faster]
        return min(better, key=lambda each: 0.0 if each.ratio is None else each.ratio.value, default=self.base)


def uniform_candidates(
    reference: Artifact, precisions: Sequence[Precision], evaluator: Evaluator, progress: Progress
) -> CandidateSet:
    """The `reference` engine and one engine of each of `precisions`, timed together."""
    candidate = Candidate(str(reference.precision), reference.precision)
    candidates = [evaluator.with_scores(candidate, reference, evaluator.scorer.reference)]
    for number, precision in enumerate(precisions):
        progress("evaluate", number, len(precisions))
        candidates.append(evaluator.scored(precision))
    progress("evaluate", len(precisions), len(precisions))
    return candidate_set_from_candidates(evaluator.timed(candidates, candidates[0].name))


def candidate_set_from_candidates(candidates: Sequence[Candidate]) -> CandidateSet:
    """The set, with every latency relative to that of its base."""
    floats = [each for each in candidates if each.precision is not Precision.INT8 and each.is_within]
    base = min(floats, key=lambda each: each.p50_ms)
    relative = [
        dataclasses.replace(each, ratio=each.timing.ratio_to(base.timing)) if each.timing and base.timing else each
        for each in candidates
    ]
    return CandidateSet(tuple(relative), relative[list(candidates).index(base)])


def ablation_of_blocks(
    blocks: Sequence[Block], int8: Artifact, evaluator: Evaluator, scorer: Scorer, progress: Progress
) -> list[Ablation]:
    """Compare the int8 engine with one that has each of `blocks` float, until the time is over.

    scorer: of other images than those of the final evaluation.
    """
    ablations = []
    with evaluator.open(int8) as quantised:
        before = scorer.scores(quantised).agreement.mean()
        for number, block in enumerate(blocks):
            progress("ablation", number, len(blocks))
            if evaluator.is_out_of_time():
                break
            engine = evaluator.builder.build(Precision.INT8, [block], checked=False)
            with evaluator.open(engine) as segmenter:
                after = scorer.scores(segmenter).agreement.mean()
                timings = benchmark({"int8": quantised, "float": segmenter}, evaluator.rgb, rounds=QUICK_ROUNDS)
            ratio = timings["float"].ratio_to(timings["int8"])
            lost_ms = (ratio.value - 1) * timings["int8"].latency.p50_ms
            ablations.append(Ablation(block, float(after - before), lost_ms, ratio))
        progress("ablation", len(blocks), len(blocks))
    return ablations


def mixed_candidates(
    uniform: CandidateSet, blocks: Sequence[Block], evaluator: Evaluator, scorer: Scorer, progress: Progress
) -> CandidateSet:
    """`uniform` and the mixed engines, tried until one is within the budget or no further one can be faster.

    Where int8 is accurate enough but too slow, only blocks that are faster in float stay float; otherwise first those
    that win back the most labels per millisecond.
    """
    int8 = next(each for each in uniform.candidates if each.precision is Precision.INT8)
    if len(blocks) < 2:
        return uniform
    try:
        engine = int8.engine or evaluator.builder.build(Precision.INT8, checked=False)
    except EdgeSegError:  # the int8 candidate has the reason
        return uniform
    ablations = ablation_of_blocks(blocks, engine, evaluator, scorer, progress)
    mixed: list[Candidate] = []
    selections = block_selections(ablations, int8)
    unsearched = "" if selections else "no block stands out that could stay float"
    for number, selection in enumerate(selections):
        if evaluator.is_out_of_time():
            unsearched = "" if mixed else OUT_OF_TIME
            break
        progress("mix", number, None)
        candidate = evaluator.scored(Precision.INT8, selection)
        _, candidate = evaluator.timed([uniform.base, candidate], uniform.base.name)
        mixed.append(candidate)
        if candidate.is_within or (candidate.ratio is not None and candidate.ratio.low > 1):
            break
    if len(ablations) < len(blocks) and not mixed:
        unsearched = OUT_OF_TIME
    return CandidateSet((*uniform.candidates, *mixed), uniform.base, tuple(ablations), unsearched)


def block_selections(ablations: Sequence[Ablation], int8: Candidate) -> list[list[Block]]:
    """The blocks that stay float, in the graph's order, for each mixed engine to try."""
    free = [each for each in ablations if each.is_free]
    selections = [free] if free else []
    if not int8.is_within:
        others = [each for each in ablations if each.gain > 0 and each not in free]
        if len({each.gain for each in ablations}) > 1:  # equal gains do not rank the blocks
            others.sort(key=lambda each: -each.gain_per_ms(int8.p50_ms))
            selections += [free + others[: count + 1] for count in range(len(others))]
    return [
        [each.block for each in ablations if each in selection]
        for selection in selections[:MAX_MIXED]
        if len(selection) < len(ablations)
    ]
