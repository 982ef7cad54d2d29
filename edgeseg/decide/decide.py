"""The fastest engine within a budget of accuracy, and why: `convert --precision auto`."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgeseg.artifact import Artifact, read_onnx
from edgeseg.calib.range import RangeTable
from edgeseg.decide.blocks import blocks_from_layers, layers_from_model
from edgeseg.decide.budget import Budget
from edgeseg.decide.candidate import Candidate, Maker
from edgeseg.decide.judge import Judge, pictures_from_frames
from edgeseg.decide.pictures import Panel
from edgeseg.decide.race import ROUNDS
from edgeseg.decide.search import Field, mixed_field, plain_field
from edgeseg.decide.trial import Trial
from edgeseg.decide.verdict import verdict_from_choice
from edgeseg.engines import open_engine
from edgeseg.engines.options import RunOptions
from edgeseg.errors import MismatchError
from edgeseg.measure.device import has_native_bf16
from edgeseg.measure.load import LoadMeter
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import open_segmenter
from edgeseg.spec import Precision

CHECKED = 4  # frames on which a build is held against its source


@dataclass(frozen=True)
class Question:
    """What is to be decided.

    onnx: the float model. table: its ranges; None where there are none, so that int8 is not tried.
    panel: the pictures that judge; its others weigh blocks and check builds. run: on what it is decided.
    """

    onnx: Artifact
    table: RangeTable | None
    engine: str
    panel: Panel
    budget: Budget = dataclasses.field(default_factory=Budget)
    run: RunOptions = RunOptions()  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Decision:
    """What was chosen, and all that was tried."""

    chosen: Candidate
    field: Field
    verdict: str
    judged: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the sidecar."""
        weights = [
            {"block": each.block.name, "gain": each.gain, "lost_ms": each.lost_ms, "ratio": each.ratio.to_dict()}
            for each in self.field.weights
        ]
        candidates = [candidate.to_dict() for candidate in self.field.candidates]
        return {"verdict": self.verdict, **self.judged, "candidates": candidates, "blocks": weights}


def decide(question: Question, folder: Path, *, progress: Progress = silent) -> Decision:
    """Build, judge and race candidates in `folder`, and choose. MismatchError where the engine only simulates int8.

    The search of mixed engines begins where int8 is too slow or loses too much, and ends with `budget.minutes`.
    """
    check_decidable(question.engine)
    panel = question.panel
    frames, device = panel.search[:CHECKED], question.run.device
    maker = Maker(question.onnx, question.table, question.engine, folder, frames, device)
    meter, began = LoadMeter(), time.monotonic()
    reference = maker.build(Precision.FP32)
    with open_segmenter(reference.path, device=question.run.device, threads=question.run.threads) as segmenter:
        judge = Judge(panel.judged, segmenter, panel.counted)
        search = Judge(pictures_from_frames(list(panel.search)), segmenter, None)
    trial = Trial(maker, judge, question.budget, panel.search[0], question.run, began)
    field = plain_field(reference, others_of(question), trial, progress)
    layers = layers_from_model(ir.from_proto(read_onnx(question.onnx.path)))
    int8 = [each for each in field.candidates if each.precision is Precision.INT8]
    if int8 and field.best() is field.base:
        field = mixed_field(field, blocks_from_layers(layers), trial, search, progress)
    field = settled(field, trial)
    chosen = field.best()
    judged = {
        "judged_on": {"source": panel.source, "pictures": len(judge), "labelled": panel.counted is not None},
        "budget": dataclasses.asdict(question.budget),
        "load": meter.load().to_dict(),
    }
    return Decision(chosen, field, verdict_from_choice(chosen, field.base, field.candidates, len(layers)), judged)


def check_decidable(engine: str) -> None:
    """MismatchError where the engine only simulates int8; UnavailableError where it cannot run here."""
    if open_engine(engine).simulates:
        raise MismatchError(
            f"{engine} computes int8 in floating point: its times say nothing of other engines",
            hint="decide on the engine that will run: --engine openvino or onnxruntime",
        )
    open_engine(engine).runnable()


def others_of(question: Question) -> list[Precision]:
    """What the engine makes here beside fp32, int8 last."""
    made = [each for each in open_engine(question.engine).precisions if each not in (Precision.FP32, Precision.INT8)]
    bf16 = has_native_bf16() and open_engine(question.engine).is_on_cpu(question.run.device)
    made = [each for each in made if each is not Precision.BF16 or bf16]
    return [*made, *([Precision.INT8] if question.table is not None else [])]


def settled(field: Field, trial: Trial) -> Field:
    """`field` with the chosen engine and its base raced once more, longer: the figures of the verdict."""
    best = field.best()
    if best is field.base:
        return field
    again = dict(zip((field.base, best), trial.raced([field.base, best], field.base.name, rounds=ROUNDS)))
    candidates = tuple(again.get(each, each) for each in field.candidates)
    return Field(candidates, again[field.base], field.weights)


def kept(decision: Decision, out: Path, name: str) -> Artifact:
    """The chosen engine, moved to `out` with a sidecar that tells of the decision."""
    built = decision.chosen.engine
    assert built is not None  # what is within the budget was built
    file = out / f"{name}.{built.engine}.{decision.chosen.name}{built.path.suffix}"
    engine = dataclasses.replace(built, path=built.path.replace(file), decision=decision.to_dict())
    engine.write_sidecar()
    return engine
