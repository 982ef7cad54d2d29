"""What each part of a network costs in int8 alone, in accuracy, and in floating point alone, in time."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.artifact import Artifact, LoadedModel, written_onnx
from edgeseg.autotune.ablation import Ablation, ablation_of_blocks
from edgeseg.autotune.autotune import SearchRequest, builder_of, check_decidable
from edgeseg.autotune.benchmark import benchmark
from edgeseg.autotune.blocks import Block, layers_from_model
from edgeseg.autotune.candidate import CandidateBuilder
from edgeseg.autotune.estimate import Estimate
from edgeseg.autotune.evaluator import QUICK, Evaluator
from edgeseg.autotune.judge import Judge, Scores, pictures_from_frames
from edgeseg.autotune.sqnr import open_tapped, sqnr_db
from edgeseg.calib.quantize import best_method, quantized_model
from edgeseg.calib.range import RangeTable
from edgeseg.errors import MismatchError
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.progress import silent
from edgeseg.spec import Precision

WHOLE = "(all in int8)"


@dataclass(frozen=True)
class Effect:
    """What one block does.

    drop: mIoU that is lost where it alone is int8, as a fraction; None without labels. agreement: share of the labels
    that are the float engine's, then. sqnr_db: of the logits, then; None where the model gives a mask.
    weight: the block left float in an otherwise int8 engine; None where that engine does not exist.
    """

    block: Block
    drop: Estimate | None
    agreement: Estimate
    sqnr_db: float | None
    weight: Ablation | None

    @property
    def loss(self) -> Estimate:
        """What ranks it: the drop of mIoU, or the share of the labels that change where there is no truth."""
        same = self.agreement
        return self.drop or Estimate(1 - same.value, 1 - same.high, 1 - same.low)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; shares and mIoU are fractions."""
        found: dict[str, Any] = {"name": self.block.name, "layers": list(self.block.layers)}
        found |= {"miou_drop": self.drop and self.drop.to_dict(), "agreement": self.agreement.to_dict()}
        found |= {"sqnr_db": self.sqnr_db, "float": None}
        if self.weight is not None:
            weight = self.weight
            found["float"] = {"lost_ms": weight.lost_ms, "latency_ratio": weight.ratio.to_dict(), "gain": weight.gain}
        return found


class Sensitivity:
    """Measures the blocks of one network on one engine; builds lie in `folder`, which is the caller's.

    whole: the effect of int8 throughout. Its time is that of the float engine.
    """

    def __init__(self, question: SearchRequest, folder: Path) -> None:
        check_decidable(question.engine)
        panel = question.panel
        maker = builder_of(question, folder)
        self.folder, self.panel = folder, panel
        self.reference = maker.build(Precision.FP32)
        self.int8 = maker.build(Precision.INT8, checked=False)
        segmenter, noted = open_tapped(self.reference.path, question.run)
        with segmenter:
            self.judge = Judge(panel.judged, segmenter, panel.counted, panel.match)
            self.clean = list(noted)
            self.search = Judge(pictures_from_frames(list(panel.search)), segmenter, None)
        unhurried = dataclasses.replace(question.budget, minutes=math.inf)
        self.trial = Evaluator(maker, self.judge, unhurried, panel.search[0], question.run)
        self.layers = tuple(layers_from_model(question.onnx.graph()))
        self.scores, self.whole = self.measured_whole()

    def classes(self) -> list[tuple[str, float, float]]:
        """Name and IoU of each class that occurs, by the float and the int8 engine; nothing without labels."""
        plain, int8 = self.judge.reference.counts, self.scores.counts
        if plain is None or int8 is None or self.judge.counted is None:
            return []
        rows = zip(self.panel.names, *(class_ious(counts, *self.judge.counted) for counts in (plain, int8)))
        return [(name, before, after) for name, before, after in rows if not math.isnan(before + after)]

    def to_dict(self) -> dict[str, Any]:
        """Plain data of the network as a whole."""
        judged = {"source": self.panel.source, "pictures": len(self.judge), "labelled": self.judge.counted is not None}
        classes = {name: {"float_iou": plain, "int8_iou": int8} for name, plain, int8 in self.classes()}
        miou = self.judge.reference.miou
        return {"judged_on": judged, "float_miou": miou, "int8": self.whole.to_dict(), "classes": classes}

    def measured_whole(self) -> tuple[Scores, Effect]:
        """The int8 engine that a user would get, and what it wins over the float one in time."""
        scores, sqnr = self.scored(self.int8)
        with self.trial.open(self.reference) as plain, self.trial.open(self.int8) as quantised:
            laps = benchmark({"float": plain, "int8": quantised}, self.trial.rgb, rounds=QUICK)
        ratio = laps["float"].ratio_to(laps["int8"])
        lost = (ratio.value - 1) * laps["int8"].latency.p50_ms
        block = Block(WHOLE, self.layers)
        weight = Ablation(block, 1 - scores.same_labels().value, lost, ratio)
        return scores, self.effect(block, scores, sqnr, weight)

    def measured(self, block: Block) -> Effect:
        """The effect of `block`."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            maker = dataclasses.replace(self.trial.maker, folder=Path(scratch))
            scores, sqnr = self.scored(alone(maker, block.layers))
            weight = self.weighed(block, dataclasses.replace(self.trial, maker=maker))
        return self.effect(block, scores, sqnr, weight)

    def effect(self, block: Block, scores: Scores, sqnr: float | None, weight: Ablation | None) -> Effect:
        """The figures of one engine against those of the float one."""
        return Effect(block, scores.drop_from(self.judge.reference), scores.same_labels(), sqnr, weight)

    def scored(self, engine: Artifact) -> tuple[Scores, float | None]:
        """Its masks and its logits against those of the float engine."""
        segmenter, noted = open_tapped(engine.path, self.trial.run)
        with segmenter:
            return self.judge.scores(segmenter), sqnr_db(self.clean, noted)

    def weighed(self, block: Block, trial: Evaluator) -> Ablation | None:
        """The block in floating point; None where nothing else is int8, or the runtime takes the rest for float too."""
        try:
            return ablation_of_blocks([block], self.int8, trial, self.search, silent)[0]
        except MismatchError:
            return None


def alone(maker: CandidateBuilder, layers: Iterable[str]) -> Artifact:
    """The engine with `layers` in int8 and all else in fp32, whatever the float layers of an int8 engine compute in.

    A runtime may compute a layer that is alone in floating point: rounded it is all the same.
    """
    assert maker.table is not None  # nothing is int8 without ranges
    engine = maker.engine
    onnx = quantised_alone(maker.onnx, maker.table, engine.name, frozenset(layers), maker.folder)
    return engine.build(onnx, maker.folder / f"alone.{engine.extension}", Precision.FP32)


def quantised_alone(
    onnx: LoadedModel, table: RangeTable, target: str, layers: frozenset[str], folder: Path
) -> LoadedModel:
    """The ONNX with `layers` in int8, by the method of `int8_from_ranges`."""
    model = onnx.graph()
    rest = frozenset(layers_from_model(model)) - layers
    quantised = quantized_model(model, table, best_method(onnx.artifact, table), target=target, float_nodes=rest)
    artifact = dataclasses.replace(onnx.artifact, path=folder / "alone.int8.onnx")
    return written_onnx(ir.to_proto(quantised), artifact)


def class_ious(counts: NDArray[np.int64], classes: int, ignore: int) -> list[float]:
    """The IoU of each class over all pictures, (N, K, K + extra) -> K."""
    confusion = ConfusionMatrix(classes, ignore, counts.shape[2] - classes)
    confusion.counts += counts.sum(0)
    return [float(iou) for iou in confusion.iou()]


def ranked(effects: Sequence[Effect]) -> list[Effect]:
    """The costliest first."""
    return sorted(effects, key=lambda effect: -effect.loss.value)
