"""Builds a candidate, has it judged and races it: everything that the search knows of an engine comes from here."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeseg.artifact import Artifact
from edgeseg.autotune.benchmark import benchmark
from edgeseg.autotune.blocks import Block
from edgeseg.autotune.budget import Budget, cost_from_scores
from edgeseg.autotune.candidate import Candidate, CandidateBuilder, name_of
from edgeseg.autotune.judge import Judge, Rgb, Scores
from edgeseg.engines.options import RunOptions
from edgeseg.errors import AgreementError, FormatError, MismatchError, UnavailableError
from edgeseg.segmenter import Segmenter, open_segmenter
from edgeseg.spec import Precision

QUICK = 5  # rounds of a race that only decides what to try next
OUT = (AgreementError, FormatError, MismatchError, UnavailableError)  # what takes a candidate out of the race


@dataclass(frozen=True)
class Evaluator:
    """What all candidates have in common.

    rgb: the picture of the races, at the input's size. began: when the search did, by the monotonic clock.
    """

    maker: CandidateBuilder
    judge: Judge
    budget: Budget
    rgb: Rgb
    run: RunOptions = RunOptions()  # noqa: RUF009 - frozen
    began: float = field(default_factory=time.monotonic)

    def is_over(self) -> bool:
        """Whether the time of the budget is spent, so that nothing more is tried."""
        return time.monotonic() - self.began > 60 * self.budget.minutes

    def measured(self, precision: Precision, blocks: Sequence[Block] = ()) -> Candidate:
        """The candidate, built and judged; not yet raced. One that cannot be built, or is wrong, has a `problem`."""
        candidate = Candidate(name_of(precision, blocks), precision, tuple(blocks))
        try:
            engine = self.maker.build(precision, blocks)
        except OUT as problem:
            return dataclasses.replace(candidate, problem=problem.message)
        with self.open(engine) as segmenter:
            scores = self.judge.scores(segmenter)
        return self.judged(candidate, engine, scores)

    def judged(self, candidate: Candidate, engine: Artifact, scores: Scores) -> Candidate:
        """`candidate` with its engine, and what that loses against the float one."""
        cost = cost_from_scores(scores, self.judge.reference, self.budget)
        return dataclasses.replace(candidate, engine=engine, scores=scores, cost=cost)

    def raced(self, candidates: Sequence[Candidate], base: str, *, rounds: int = QUICK) -> list[Candidate]:
        """`candidates` with their latency, and its ratio to that of the one called `base`, all of one race."""
        with contextlib.ExitStack() as stack:
            able = [candidate for candidate in candidates if candidate.engine is not None]
            engines = {each.name: stack.enter_context(self.open(each.engine)) for each in able if each.engine}
            laps = benchmark(engines, self.rgb, rounds=rounds, base=base)
        return [
            dataclasses.replace(each, lap=laps[each.name], ratio=laps[each.name].ratio_to(laps[base]))
            if each.name in laps
            else each
            for each in candidates
        ]

    def open(self, engine: Artifact) -> Segmenter:
        """Open one of the engines."""
        return open_segmenter(engine.path, device=self.run.device, threads=self.run.threads)
