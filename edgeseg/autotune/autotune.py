"""Find the fastest engine within an accuracy budget: `convert` without a precision, and with --precision auto."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from edgeseg.artifact import Artifact, LoadedModel
from edgeseg.autotune.benchmark import ROUNDS
from edgeseg.autotune.blocks import blocks_from_layers, layers_from_model
from edgeseg.autotune.budget import Budget
from edgeseg.autotune.candidate import Candidate, CandidateBuilder, Evaluator
from edgeseg.autotune.evaluation_set import EvaluationSet
from edgeseg.autotune.scoring import Scorer, images_from_frames
from edgeseg.autotune.search import CandidateSet, mixed_candidates, uniform_candidates
from edgeseg.autotune.summary import decision_summary
from edgeseg.calib.range import RangeTable
from edgeseg.engines.agreement import CheckImages
from edgeseg.engines.devices import AUTO
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.errors import AgreementError, MismatchError
from edgeseg.measure.device import has_native_bf16
from edgeseg.measure.load import LoadMeter
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)

B = TypeVar("B")
CHECK_FRAMES = 4  # on which a build is compared with its source
CLEARLY_FASTER = 0.9  # of the other engine's latency


@dataclass(frozen=True)
class SearchRequest:
    """The inputs of a search.

    onnx: the float model. table: its ranges; without them int8 is not tried. run: how candidates are timed.
    check: frames on which builds are checked; by default some of the evaluation set. options: of the engine's builder.
    short: compare int8 only with the best float precision, and try no mixed engines. force: see `CandidateBuilder`.
    """

    onnx: LoadedModel
    table: RangeTable | None
    engine: Engine
    evaluation_set: EvaluationSet
    budget: Budget = dataclasses.field(default_factory=Budget)
    run: RunOptions = RunOptions()  # noqa: RUF009 - frozen
    check: CheckImages | None = None
    options: BuildOptions = dataclasses.field(default_factory=BuildOptions)
    short: bool = False
    force: bool = False


@dataclass(frozen=True)
class Decision:
    """The chosen candidate, and all others. is_plotted: whether there are enough candidates for a plot."""

    chosen: Candidate
    candidate_set: CandidateSet
    summary: str
    conditions: dict[str, Any]
    is_plotted: bool = True

    @property
    def engine(self) -> Artifact:
        """The chosen engine, with the decision in its sidecar."""
        assert self.chosen.engine is not None  # a candidate within the budget was built
        return dataclasses.replace(self.chosen.engine, decision=self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the sidecar."""
        blocks = [
            {"block": each.block.name, "gain": each.gain, "lost_ms": each.lost_ms, "ratio": each.ratio.to_dict()}
            for each in self.candidate_set.ablations
        ]
        candidates = [candidate.to_dict() for candidate in self.candidate_set.candidates]
        return {"summary": self.summary, **self.conditions, "candidates": candidates, "blocks": blocks}


def autotune(request: SearchRequest, folder: Path, *, progress: Progress = silent) -> Decision:
    """Build, score and time candidates in `folder`, and choose. MismatchError where the engine only simulates int8.

    Mixed engines are tried where int8 is too slow or loses too much, until `budget.minutes` are over.
    """
    check_measurable(request.engine)
    images, builder = request.evaluation_set, candidate_builder(request, folder, progress)
    meter, start = LoadMeter(), time.monotonic()
    first, *others = candidate_precisions(request)
    reference = built_or_fp32(builder.build, first, request.engine)
    with open_segmenter(reference.path, device=request.run.device, threads=request.run.threads) as segmenter:
        scorer = Scorer(images.images, segmenter, images.classes, images.match)
        search_scorer = None if request.short else Scorer(images_from_frames(images.search), segmenter, None)
    evaluator = Evaluator(builder, scorer, request.budget, images.search[0], request.run, start)
    candidate_set = uniform_candidates(reference, others, evaluator, progress)
    layers = layers_from_model(request.onnx.graph(), request.engine.name)
    has_int8 = any(each.precision is Precision.INT8 for each in candidate_set.candidates)
    if has_int8 and search_scorer is not None and candidate_set.best() is candidate_set.base:
        blocks = blocks_from_layers(layers)
        candidate_set = mixed_candidates(candidate_set, blocks, evaluator, search_scorer, progress)
    if not (request.short and is_clearly_faster(candidate_set.best())):
        candidate_set = confirmed(candidate_set, evaluator)
    chosen = candidate_set.best()
    conditions = {
        "evaluated_on": {"source": images.source, "images": len(scorer), "labelled": images.classes is not None},
        "budget": dataclasses.asdict(request.budget),
        "device": request.engine.device_to_build_for(request.run.device),
        "threads": request.run.threads,
        "load": meter.load().to_dict(),
    }
    candidates, base = candidate_set.candidates, candidate_set.base
    summary = decision_summary(chosen, base, candidates, len(layers), candidate_set.unsearched)
    if images.advice:
        summary += f" ({images.advice})"
    return Decision(chosen, candidate_set, summary, conditions, is_plotted=not request.short)


def candidate_builder(request: SearchRequest, folder: Path, progress: Progress = silent) -> CandidateBuilder:
    """The builder of the candidates in `folder`."""
    images = request.evaluation_set
    check = request.check or CheckImages(images.search[:CHECK_FRAMES], images.source)
    parts = (request.onnx, request.table, request.engine, folder, check, request.options, request.force)
    return CandidateBuilder(*parts, labelled=images.classes is not None, progress=progress)


def check_measurable(engine: Engine) -> None:
    """MismatchError where the engine only simulates int8; UnavailableError where it cannot run here."""
    if engine.simulates:
        raise MismatchError(
            f"{engine.name} computes int8 in floating point: its times do not apply to other engines",
            hint="measure on the engine that will run: --engine openvino or onnxruntime",
            code="ES-MISMATCH-SIMULATED",
        )
    engine.runnable()


def candidate_precisions(request: SearchRequest) -> list[Precision]:
    """The precisions to try: first the one that the others are compared with, int8 last."""
    engine, device = request.engine, request.run.device
    floats: list[Precision] = [each for each in engine.precisions if each is not Precision.INT8]
    floats = [each for each in floats if each is not Precision.BF16 or computes_bf16(engine, device)]
    if request.short:
        floats = [best_float(engine, device)]
    has_int8 = request.table is not None and Precision.INT8 in engine.precisions
    return [*floats, *([Precision.INT8] if has_int8 else [])]


def best_float(engine: Engine, device: str = AUTO) -> Precision:
    """fp16 where the engine supports it, else bf16 where engine and CPU support it, else fp32."""
    if Precision.FP16 in engine.precisions:
        return Precision.FP16
    return Precision.BF16 if computes_bf16(engine, device) else Precision.FP32


def built_or_fp32(build: Callable[[Precision], B], precision: Precision, engine: Engine) -> B:
    """`build(precision)`; in fp32 where a shorter float deviates too much from the ONNX, as bf16 does for some nets."""
    try:
        return build(precision)
    except AgreementError as error:
        if precision is Precision.FP32 or Precision.FP32 not in engine.precisions:
            raise
        logger.warning("%s is not used: %s", precision, error.message)
        return build(Precision.FP32)


def computes_bf16(engine: Engine, device: str) -> bool:
    """Whether the engine supports bf16 and runs on a CPU with bf16 instructions."""
    return Precision.BF16 in engine.precisions and has_native_bf16() and engine.is_on_cpu(device)


def is_clearly_faster(best: Candidate) -> bool:
    """Whether a longer benchmark could hardly change the result."""
    return best.ratio is not None and best.ratio.high < CLEARLY_FASTER


def confirmed(candidate_set: CandidateSet, evaluator: Evaluator) -> CandidateSet:
    """`candidate_set` with the best candidate and its base timed again for ROUNDS rounds, for the summary."""
    best, base = candidate_set.best(), candidate_set.base
    if best is base:
        return candidate_set
    again = dict(zip((base, best), evaluator.timed([base, best], base.name, rounds=ROUNDS)))
    candidates = tuple(again.get(each, each) for each in candidate_set.candidates)
    return dataclasses.replace(candidate_set, candidates=candidates, base=again[base])
