"""Candidate engines: how they are built, and what is measured of them on this machine."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.artifact import Artifact, LoadedModel
from edgeseg.autotune.benchmark import QUICK_ROUNDS, TimingRun, benchmark
from edgeseg.autotune.blocks import Block
from edgeseg.autotune.budget import Budget, Cost, cost_from_scores
from edgeseg.autotune.scoring import Rgb, Scorer, Scores
from edgeseg.calib.precision import onnx_of_precision
from edgeseg.calib.range import RangeTable
from edgeseg.engines.agreement import CheckImages
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.errors import AgreementError, FormatError, MismatchError, UnavailableError
from edgeseg.measure.estimate import Estimate
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter, open_segmenter
from edgeseg.spec import Precision

EXCLUDING_ERRORS = (AgreementError, FormatError, MismatchError, UnavailableError)


@dataclass(frozen=True, eq=False)
class Candidate:
    """An engine and its measurements.

    blocks: those of an int8 engine that stay float. ratio: its latency relative to the fastest float engine.
    problem: why it could not be measured; "" where it was.
    """

    name: str
    precision: Precision
    blocks: tuple[Block, ...] = ()
    engine: Artifact | None = None
    scores: Scores | None = None
    cost: Cost | None = None
    timing: TimingRun | None = None
    ratio: Estimate | None = None
    problem: str = ""

    @property
    def float_layers(self) -> int:
        """The number of layers that stay float although int8 could quantise them."""
        return sum(len(block.layers) for block in self.blocks)

    @property
    def is_within(self) -> bool:
        """Whether its accuracy is within the budget."""
        return self.cost is not None and self.cost.is_within

    @property
    def is_faster(self) -> bool:
        """Whether it is faster than the float engine beyond the spread of the rounds."""
        return self.ratio is not None and self.ratio.high < 1

    @property
    def p50_ms(self) -> float:
        """Median latency; infinite where it was not timed."""
        return float("inf") if self.timing is None else self.timing.latency.p50_ms

    def to_dict(self) -> dict[str, Any]:
        """Plain data: measurements, and the blocks that stay float."""
        record: dict[str, Any] = {"name": self.name, "precision": str(self.precision), "problem": self.problem}
        record["float_blocks"] = [block.name for block in self.blocks]
        record["float_layers"] = [layer for block in self.blocks for layer in block.layers]
        if self.scores is not None and self.cost is not None:
            record |= {"miou": self.scores.miou, "agreement": self.scores.same_labels().to_dict()}
            record |= {"loss": self.cost.loss.to_dict(), "within_budget": self.is_within}
        if self.timing is not None:
            record |= {"latency": self.timing.latency.to_dict(), "cpu_ms": self.timing.cpu_ms}
        if self.ratio is not None:
            record["latency_ratio"] = self.ratio.to_dict()
        return record


@dataclass(frozen=True)
class CandidateBuilder:
    """Builds candidates of one float ONNX for one engine, each in its own subfolder of `folder`.

    check: the images on which each build is compared with the float ONNX. options: of the engine's builder.
    force: accept an int8 engine whose labels agree too little. labelled: as `force`, for its mIoU will be judged.
    """

    onnx: LoadedModel
    table: RangeTable | None
    engine: Engine
    folder: Path
    check: CheckImages
    options: BuildOptions = field(default_factory=BuildOptions)
    force: bool = False
    labelled: bool = False
    progress: Progress = silent

    def build(self, precision: Precision, blocks: Sequence[Block] = (), *, checked: bool = True) -> Artifact:
        """The engine; the layers of `blocks` stay float in an int8 one. Raises the errors of `engine_from_onnx`.

        checked: compare its labels with the float model's. The ONNX of an engine plan stays next to it; engines with
        the same Q/DQ placement share its name, mixed ones do not.
        """
        name, kind = self.onnx.path.stem, candidate_name(precision, blocks)
        out = Path(tempfile.mkdtemp(prefix="engine-", dir=self.folder))
        source = onnx_of_precision(
            precision,
            self.onnx,
            self.table,
            target=self.engine.name,
            out=out / (f"{name}.{self.engine.name}.{kind}.onnx" if blocks else f"{name}.{kind}.onnx"),
            float_nodes=frozenset(layer for block in blocks for layer in block.layers),
        )
        return engine_from_onnx(
            source,
            self.engine,
            precision=precision,
            out_dir=out,
            name=name,
            reference=self.onnx,
            frames=self.check if checked else None,
            force=self.force or (self.labelled and precision is Precision.INT8),
            options=self.options,
            progress=self.progress,
        )


@dataclass(frozen=True)
class Evaluator:
    """Builds, scores and times candidates.

    rgb: the image that candidates are timed on, at the input's size. start: of the search, by the monotonic clock.
    """

    builder: CandidateBuilder
    scorer: Scorer
    budget: Budget
    rgb: Rgb
    run: RunOptions = RunOptions()  # noqa: RUF009 - frozen
    start: float = field(default_factory=time.monotonic)

    def is_out_of_time(self) -> bool:
        """Whether the time of the budget is over."""
        return time.monotonic() - self.start > 60 * self.budget.minutes

    def scored(self, precision: Precision, blocks: Sequence[Block] = ()) -> Candidate:
        """The candidate, built and scored but not timed. One whose build fails or is wrong has a `problem`."""
        candidate = Candidate(candidate_name(precision, blocks), precision, tuple(blocks))
        try:
            engine = self.builder.build(precision, blocks)
        except EXCLUDING_ERRORS as error:
            return dataclasses.replace(candidate, problem=error.message)
        with self.open(engine) as segmenter:
            scores = self.scorer.scores(segmenter)
        return self.with_scores(candidate, engine, scores)

    def with_scores(self, candidate: Candidate, engine: Artifact, scores: Scores) -> Candidate:
        """`candidate` with its engine, scores and cost."""
        cost = cost_from_scores(scores, self.scorer.reference, self.budget)
        return dataclasses.replace(candidate, engine=engine, scores=scores, cost=cost)

    def timed(self, candidates: Sequence[Candidate], base: str, *, rounds: int = QUICK_ROUNDS) -> list[Candidate]:
        """`candidates` with their timing in one benchmark, and the ratio to the candidate called `base`."""
        with contextlib.ExitStack() as stack:
            segmenters = {
                candidate.name: stack.enter_context(self.open(candidate.engine))
                for candidate in candidates
                if candidate.engine is not None
            }
            timings = benchmark(segmenters, self.rgb, rounds=rounds, base=base)
        return [
            dataclasses.replace(each, timing=timings[each.name], ratio=timings[each.name].ratio_to(timings[base]))
            if each.name in timings
            else each
            for each in candidates
        ]

    def open(self, engine: Artifact) -> Segmenter:
        """Open one of the engines."""
        return open_segmenter(engine.path, device=self.run.device, threads=self.run.threads)


def candidate_name(precision: Precision, blocks: Sequence[Block]) -> str:
    """ "int8-mixed" where blocks stay float, else the precision."""
    return f"{precision}-mixed" if blocks else str(precision)
