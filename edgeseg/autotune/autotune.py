"""The fastest engine within a budget of accuracy, and why: `convert` without a precision, and with --precision auto."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.artifact import Artifact, LoadedModel
from edgeseg.autotune.benchmark import ROUNDS
from edgeseg.autotune.blocks import blocks_from_layers, layers_from_model
from edgeseg.autotune.budget import Budget
from edgeseg.autotune.candidate import Candidate, CandidateBuilder
from edgeseg.autotune.evaluation_set import EvaluationSet
from edgeseg.autotune.evaluator import Evaluator
from edgeseg.autotune.judge import Judge, pictures_from_frames
from edgeseg.autotune.search import CandidateSet, mixed_candidates, uniform_candidates
from edgeseg.autotune.summary import verdict_from_choice
from edgeseg.calib.range import RangeTable
from edgeseg.engines.agreement import CheckImages
from edgeseg.engines.devices import AUTO
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.errors import MismatchError
from edgeseg.measure.device import has_native_bf16
from edgeseg.measure.load import LoadMeter
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Precision

CHECKED = 4  # frames on which a build is held against its source
CLEAR = 0.9  # of the other one's latency


@dataclass(frozen=True)
class SearchRequest:
    """What is to be decided.

    onnx: the float model. table: its ranges; None where there are none, so that int8 is not tried.
    panel: the pictures that judge; its others weigh blocks. run: on what it is decided. check: those on which builds
    are checked; some of the panel's others unless given. options: of the engine's builder.
    short: hold int8 against the best float precision alone, and try no mixed engines. force: as of `Maker`.
    """

    onnx: LoadedModel
    table: RangeTable | None
    engine: Engine
    panel: EvaluationSet
    budget: Budget = dataclasses.field(default_factory=Budget)
    run: RunOptions = RunOptions()  # noqa: RUF009 - frozen
    check: CheckImages | None = None
    options: BuildOptions = dataclasses.field(default_factory=BuildOptions)
    short: bool = False
    force: bool = False


@dataclass(frozen=True)
class Decision:
    """What was chosen, and all that was tried. is_plotted: whether that is worth a picture."""

    chosen: Candidate
    field: CandidateSet
    summary: str
    judged: dict[str, Any]
    is_plotted: bool = True

    @property
    def engine(self) -> Artifact:
        """The engine that was chosen, with the decision on record."""
        assert self.chosen.engine is not None  # what is within the budget was built
        return dataclasses.replace(self.chosen.engine, decision=self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the sidecar."""
        weights = [
            {"block": each.block.name, "gain": each.gain, "lost_ms": each.lost_ms, "ratio": each.ratio.to_dict()}
            for each in self.field.weights
        ]
        candidates = [candidate.to_dict() for candidate in self.field.candidates]
        return {"verdict": self.summary, **self.judged, "candidates": candidates, "blocks": weights}


def decide(question: SearchRequest, folder: Path, *, progress: Progress = silent) -> Decision:
    """Build, judge and race candidates in `folder`, and choose. MismatchError where the engine only simulates int8.

    The search of mixed engines begins where int8 is too slow or loses too much, and ends with `budget.minutes`.
    """
    check_decidable(question.engine)
    panel, maker = question.panel, builder_of(question, folder, progress)
    meter, began = LoadMeter(), time.monotonic()
    first, *others = precisions_of(question)
    reference = maker.build(first)
    with open_segmenter(reference.path, device=question.run.device, threads=question.run.threads) as segmenter:
        judge = Judge(panel.judged, segmenter, panel.counted, panel.match)
        search = None if question.short else Judge(pictures_from_frames(list(panel.search)), segmenter, None)
    trial = Evaluator(maker, judge, question.budget, panel.search[0], question.run, began)
    field = uniform_candidates(reference, others, trial, progress)
    layers = layers_from_model(question.onnx.graph())
    int8 = [each for each in field.candidates if each.precision is Precision.INT8]
    if int8 and search is not None and field.best() is field.base:
        field = mixed_candidates(field, blocks_from_layers(layers), trial, search, progress)
    if not (question.short and is_clear(field.best())):
        field = settled(field, trial)
    chosen = field.best()
    judged = {
        "judged_on": {"source": panel.source, "pictures": len(judge), "labelled": panel.counted is not None},
        "budget": dataclasses.asdict(question.budget),
        "device": question.engine.device_to_build_for(question.run.device),
        "threads": question.run.threads,
        "load": meter.load().to_dict(),
    }
    summary = verdict_from_choice(chosen, field.base, field.candidates, len(layers), field.unsearched)
    if panel.advice:
        summary += f" ({panel.advice})"
    return Decision(chosen, field, summary, judged, is_plotted=not question.short)


def builder_of(question: SearchRequest, folder: Path, progress: Progress = silent) -> CandidateBuilder:
    """What builds the candidates in `folder`."""
    check = question.check or CheckImages(question.panel.search[:CHECKED], question.panel.source)
    parts = (question.onnx, question.table, question.engine, folder, check, question.options, question.force)
    return CandidateBuilder(*parts, progress=progress)


def check_decidable(engine: Engine) -> None:
    """MismatchError where the engine only simulates int8; UnavailableError where it cannot run here."""
    if engine.simulates:
        raise MismatchError(
            f"{engine.name} computes int8 in floating point: its times say nothing of other engines",
            hint="decide on the engine that will run: --engine openvino or onnxruntime",
        )
    engine.runnable()


def precisions_of(question: SearchRequest) -> list[Precision]:
    """What is tried: first the one that the others are held against, int8 last."""
    engine, device = question.engine, question.run.device
    made = [each for each in engine.precisions if each is not Precision.INT8]
    made = [each for each in made if each is not Precision.BF16 or computes_bf16(engine, device)]
    floats = [best_float(engine, device)] if question.short else made
    able = question.table is not None and Precision.INT8 in engine.precisions
    return [*floats, *([Precision.INT8] if able else [])]


def best_float(engine: Engine, device: str = AUTO) -> Precision:
    """fp16 where the engine makes it, bf16 where it makes that and the CPU that it runs on has it, else fp32."""
    if Precision.FP16 in engine.precisions:
        return Precision.FP16
    return Precision.BF16 if computes_bf16(engine, device) else Precision.FP32


def computes_bf16(engine: Engine, device: str) -> bool:
    """Whether bf16 is worth a try: on a CPU that has it."""
    return Precision.BF16 in engine.precisions and has_native_bf16() and engine.is_on_cpu(device)


def is_clear(best: Candidate) -> bool:
    """Whether a longer race could hardly tell otherwise."""
    return best.ratio is not None and best.ratio.high < CLEAR


def settled(field: CandidateSet, trial: Evaluator) -> CandidateSet:
    """`field` with the chosen engine and its base raced once more, longer: the figures of the verdict."""
    best = field.best()
    if best is field.base:
        return field
    again = dict(zip((field.base, best), trial.raced([field.base, best], field.base.name, rounds=ROUNDS)))
    candidates = tuple(again.get(each, each) for each in field.candidates)
    return dataclasses.replace(field, candidates=candidates, base=again[field.base])
