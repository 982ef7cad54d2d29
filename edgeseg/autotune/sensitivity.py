"""The cost of each part of a network: in accuracy if it alone is int8, and in time if it alone is float."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.artifact import Artifact, LoadedModel, written_onnx
from edgeseg.autotune.autotune import SearchRequest, candidate_builder, check_measurable
from edgeseg.autotune.benchmark import QUICK_ROUNDS, benchmark
from edgeseg.autotune.blocks import Block, layers_from_model
from edgeseg.autotune.candidate import CandidateBuilder, Evaluator
from edgeseg.autotune.scoring import Scorer, Scores, images_from_frames
from edgeseg.autotune.search import Ablation, ablation_of_blocks
from edgeseg.calib.quantize import best_method, quantized_model
from edgeseg.calib.range import RangeTable
from edgeseg.engines import default_engine, open_engine
from edgeseg.engines.agreement import signal_to_noise_db
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.options import RunOptions
from edgeseg.errors import MismatchError
from edgeseg.measure.estimate import Estimate
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.progress import silent
from edgeseg.segmenter import Segmenter
from edgeseg.spec import Precision

WHOLE = "(all in int8)"
MAX_VALUES = 1 << 18  # of one image's logits; larger logits are sampled on a grid of positions


@dataclass(frozen=True)
class Effect:
    """The effect of one block.

    drop: mIoU lost if only this block is int8, as a fraction; None without labels. agreement: the share of labels equal
    to the float engine's, then. sqnr_db: of the logits, then; None where the model gives a mask.
    ablation: the block float in an otherwise int8 engine; None where there is no such engine.
    """

    block: Block
    drop: Estimate | None
    agreement: Estimate
    sqnr_db: float | None
    ablation: Ablation | None

    @property
    def loss(self) -> Estimate:
        """The value that ranks blocks: the drop of mIoU, or without labels the share of changed labels."""
        same = self.agreement
        return self.drop or Estimate(1 - same.value, 1 - same.high, 1 - same.low)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; shares and mIoU are fractions."""
        record: dict[str, Any] = {"name": self.block.name, "layers": list(self.block.layers)}
        record |= {"miou_drop": self.drop and self.drop.to_dict(), "agreement": self.agreement.to_dict()}
        record |= {"sqnr_db": self.sqnr_db, "float": None}
        if (ablation := self.ablation) is not None:
            ratio = ablation.ratio.to_dict()
            record["float"] = {"lost_ms": ablation.lost_ms, "latency_ratio": ratio, "gain": ablation.gain}
        return record


class Sensitivity:
    """Measures the blocks of one network on one engine. Engines are built in `folder`, which the caller removes.

    whole: the effect of int8 for all layers; its time is that of the float engine.
    """

    def __init__(self, request: SearchRequest, folder: Path) -> None:
        check_measurable(request.engine)
        images = request.evaluation_set
        builder = candidate_builder(request, folder)
        self.folder, self.evaluation_set = folder, images
        self.reference = builder.build(Precision.FP32)
        self.int8 = builder.build(Precision.INT8, checked=False)
        segmenter, logits = open_recording(self.reference.path, request.run)
        with segmenter:
            self.scorer = Scorer(images.images, segmenter, images.classes, images.match)
            self.reference_logits = list(logits)
            self.search_scorer = Scorer(images_from_frames(images.search), segmenter, None)
        unlimited = dataclasses.replace(request.budget, minutes=math.inf)
        self.evaluator = Evaluator(builder, self.scorer, unlimited, images.search[0], request.run)
        self.layers = tuple(layers_from_model(request.onnx.graph(), request.engine.name))
        self.scores, self.whole = self.measure_whole()

    def classes(self) -> list[tuple[str, float, float]]:
        """Name and IoU of each class that occurs, by the float and the int8 engine; empty without labels."""
        reference, int8 = self.scorer.reference.counts, self.scores.counts
        if reference is None or int8 is None or self.scorer.classes is None:
            return []
        ious = (class_ious(counts, *self.scorer.classes) for counts in (reference, int8))
        rows = zip(self.evaluation_set.names, *ious)
        return [(name, before, after) for name, before, after in rows if not math.isnan(before + after)]

    def to_dict(self) -> dict[str, Any]:
        """Plain data of the network as a whole."""
        labelled = self.scorer.classes is not None
        return {
            "evaluated_on": {"source": self.evaluation_set.source, "images": len(self.scorer), "labelled": labelled},
            "float_miou": self.scorer.reference.miou,
            "int8": self.whole.to_dict(),
            "classes": {name: {"float_iou": before, "int8_iou": after} for name, before, after in self.classes()},
        }

    def measure_whole(self) -> tuple[Scores, Effect]:
        """The scores of the int8 engine, and its effect with its speed-up over the float engine."""
        scores, sqnr = self.score(self.int8)
        with self.evaluator.open(self.reference) as reference, self.evaluator.open(self.int8) as quantised:
            segmenters = {"float": reference, "int8": quantised}
            timings = benchmark(segmenters, self.evaluator.rgb, rounds=QUICK_ROUNDS)
        ratio = timings["float"].ratio_to(timings["int8"])
        lost_ms = (ratio.value - 1) * timings["int8"].latency.p50_ms
        block = Block(WHOLE, self.layers)
        ablation = Ablation(block, 1 - scores.same_labels().value, lost_ms, ratio)
        return scores, self.effect(block, scores, sqnr, ablation)

    def measure(self, block: Block) -> Effect:
        """The effect of `block`."""
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            builder = dataclasses.replace(self.evaluator.builder, folder=Path(scratch))
            scores, sqnr = self.score(build_alone(builder, block.layers))
            ablation = self.ablation(block, dataclasses.replace(self.evaluator, builder=builder))
        return self.effect(block, scores, sqnr, ablation)

    def effect(self, block: Block, scores: Scores, sqnr: float | None, ablation: Ablation | None) -> Effect:
        """The effect of `block` from the `scores` of one engine."""
        return Effect(block, scores.drop_from(self.scorer.reference), scores.same_labels(), sqnr, ablation)

    def score(self, engine: Artifact) -> tuple[Scores, float | None]:
        """The scores and the SQNR of an engine against the float one."""
        segmenter, logits = open_recording(engine.path, self.evaluator.run)
        with segmenter:
            return self.scorer.scores(segmenter), sqnr_db(self.reference_logits, logits)

    def ablation(self, block: Block, evaluator: Evaluator) -> Ablation | None:
        """The block in float; None where no other layer is int8, or the runtime computes the others in float too."""
        try:
            return ablation_of_blocks([block], self.int8, evaluator, self.search_scorer, silent)[0]
        except MismatchError:
            return None


def build_alone(builder: CandidateBuilder, layers: Iterable[str]) -> Artifact:
    """The engine with `layers` in int8 and all others in fp32, whatever the float precision of an int8 engine is.

    A runtime may compute a single int8 layer in floating point: its values are rounded all the same.
    """
    assert builder.table is not None  # int8 needs ranges
    engine = builder.engine
    onnx = quantised_alone(builder.onnx, builder.table, engine.name, frozenset(layers), builder.folder)
    return engine.build(onnx, builder.folder / f"alone.{engine.extension}", Precision.FP32)


def quantised_alone(
    onnx: LoadedModel, table: RangeTable, target: str, layers: frozenset[str], folder: Path
) -> LoadedModel:
    """The ONNX with `layers` in int8, by the method of `int8_from_ranges`."""
    model = onnx.graph()
    others = frozenset(layers_from_model(model, target)) - layers
    quantised = quantized_model(model, table, best_method(onnx.artifact, table), target=target, float_nodes=others)
    artifact = dataclasses.replace(onnx.artifact, path=folder / "alone.int8.onnx")
    return written_onnx(ir.to_proto(quantised), artifact)


def class_ious(counts: NDArray[np.int64], classes: int, ignore: int) -> list[float]:
    """The IoU of each class over all images, (N, K, K + extra) -> K."""
    confusion = ConfusionMatrix(classes, ignore, counts.shape[2] - classes)
    confusion.counts += counts.sum(0)
    return [float(iou) for iou in confusion.iou()]


def ranked(effects: Sequence[Effect]) -> list[Effect]:
    """`effects` by descending loss."""
    return sorted(effects, key=lambda effect: -effect.loss.value)


class RecordingBackend(Backend):
    """A loaded model that records the logits of each run, none where it gives a mask. It closes the model with it."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner.name, inner.inputs, inner.outputs)
        self.inner = inner
        self.logits: list[Array] = []

    def synchronize(self) -> None:
        """Wait for the model."""
        self.inner.synchronize()

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        outputs = self.inner.infer(feed)
        self.inner.synchronize()
        logits = outputs[self.outputs[0].name]
        if logits.dtype.kind == "f":
            step = math.ceil(math.sqrt(logits.size / MAX_VALUES))
            self.logits.append(np.array(logits[..., ::step, ::step], np.float32))
        return outputs

    def _close(self) -> None:
        self.inner.close()


def open_recording(path: Path, run: RunOptions) -> tuple[Segmenter, list[Array]]:
    """The segmenter of the engine at `path`, and the list that receives its logits, one array per image."""
    artifact = Artifact.open(path)
    engine = open_engine(artifact.engine or default_engine(for_onnx=True, device=run.device))
    backend = RecordingBackend(engine.open(artifact, run))
    segmenter = Segmenter(artifact, backend)
    segmenter.warm_up()
    backend.logits.clear()
    return segmenter, backend.logits


def sqnr_db(reference: Sequence[Array], quantised: Sequence[Array]) -> float | None:
    """The signal-to-quantisation-noise ratio over all images; None without logits, infinite where both are equal.

    10 log10 of the power of `reference` over that of the difference.
    """
    return signal_to_noise_db(quantised, reference) if reference else None
