"""From a float ONNX and its ranges to a tuned float ONNX and the same ranges; Ctrl-C interrupts it safely."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgeseg.artifact import Artifact, artifact_from_onnx, read_onnx, write_onnx
from edgeseg.calib.range import RangeTable
from edgeseg.datasets import open_dataset
from edgeseg.errors import FileProblem, FormatError, MismatchError
from edgeseg.files import sha256_from_file, writable_folder
from edgeseg.progress import Progress, silent
from edgeseg.provenance import Provenance
from edgeseg.spec import ModelSpec, Precision
from edgeseg.train.config import TrainConfig
from edgeseg.train.loop import Draw
from edgeseg.train.qat.config import QatConfig
from edgeseg.train.qat.graph import (
    Weights,
    float_graph,
    onnx_with_weights,
    rounding_graph,
    weights_from_onnx,
    without_constant_nodes,
)
from edgeseg.train.qat.tuner import Tuner
from edgeseg.train.recipe import draw_from, sets_from_config


@dataclass(frozen=True)
class QatResult:
    """The result of a fine-tuning.

    onnx: the tuned float graph. ranges: its table. steps, seconds: in total, including those before a resumption.
    losses: one per step of this run. resumed: the step at which it resumed, 0 for a new start.
    """

    onnx: Artifact
    ranges: Path
    steps: int
    seconds: float
    losses: tuple[float, ...]
    resumed: int


def finetune_int8(
    onnx: Path,
    table: RangeTable,
    config: QatConfig,
    draw: Draw,
    out: Path,
    *,
    progress: Progress = silent,
    hold: AbstractContextManager[object] = contextlib.nullcontext(),  # noqa: B008
) -> QatResult:
    """Tune the float ONNX at `onnx` for int8; write it and its ranges to `out` as NAME.onnx and NAME.ranges.json.

    draw: returns a random image (H, W, 3) with its labels (H, W), chosen by a generator; see `draw_for`.
    hold: delays Ctrl-C while the weights change. Every `config.every` steps, and on KeyboardInterrupt, NAME.qat.pt is
    written to `out`; a later call resumes from it.
    MismatchError where the table is that of another network, DataError where the loss is not finite.
    """
    source = checked_source(onnx, out)
    proto = without_constant_nodes(read_onnx(onnx))
    table.check(ir.from_proto(proto), source.spec.name)
    tuner = tuner_from_onnx(proto, table, source, config, draw)
    checkpoint = writable_folder(out) / f"{onnx.stem}.qat.pt"
    resumed = tuner.steps_done if tuner.resume(checkpoint) else 0
    losses = run(tuner, checkpoint, progress, hold)
    tuned = onnx_with_weights(proto, tuner.weights)
    tuned_table = table.transferred(ir.from_proto(proto), ir.from_proto(tuned))
    artifact = dataclasses.replace(source, path=out / onnx.name, provenance=provenance_of(tuner, source, table))
    write_onnx(tuned, artifact)
    ranges = tuned_table.write(out / f"{onnx.stem}.ranges.json")
    return QatResult(artifact, ranges, tuner.steps_done, tuner.seconds, tuple(losses), resumed)


def run(tuner: Tuner, checkpoint: Path, progress: Progress, hold: AbstractContextManager[object]) -> list[float]:
    """Run the remaining steps, or those that the time limit allows; their losses."""
    config, losses = tuner.config, []
    earlier, began = tuner.seconds, time.monotonic()
    limit = float("inf") if config.minutes is None else 60 * config.minutes
    try:
        while tuner.steps_done < config.steps and tuner.seconds < limit:
            tuner.set_rate(max(tuner.steps_done / config.steps, tuner.seconds / limit))
            losses.append(tuner.step(hold))
            tuner.seconds = earlier + time.monotonic() - began
            progress("fine-tune", tuner.steps_done, config.steps)
            if tuner.steps_done % config.every == 0:
                tuner.save(checkpoint)
    except KeyboardInterrupt:
        tuner.save(checkpoint)
        raise
    tuner.save(checkpoint)
    return losses


def tuner_from_onnx(proto: Any, table: RangeTable, source: Artifact, config: QatConfig, draw: Draw) -> Tuner:
    """The tuner at its first step."""
    weights, teacher = weights_from_onnx(proto), float_graph(proto)
    student = rounding_graph(proto, table, weights, target=config.target, observer=config.observer)
    inputs_sha256 = {
        "onnx": sha256_from_file(source.path),
        "ranges": hashlib.sha256(table.to_json().encode()).hexdigest(),
    }
    return Tuner(student, teacher, weights, source.spec, config, draw, inputs_sha256)


def checked_source(onnx: Path, out: Path) -> Artifact:
    """The float ONNX. FormatError where it is quantised, FileProblem where the tuned ONNX would overwrite it."""
    source = artifact_from_onnx(onnx)
    if source.precision is not Precision.FP32:
        raise FormatError(f"{onnx.name} is already {source.precision}", hint="name the fp32 ONNX that it was made from")
    check_not_overwritten(onnx, out)
    return source


def check_not_overwritten(source: Path, out: Path) -> None:
    """FileProblem where the output folder `out` holds the file `source`, which a result would overwrite."""
    if source.resolve().parent == out.resolve():
        message = f"the tuned {source.name} would overwrite its source"
        raise FileProblem(message, hint="name another folder with -o", code="ES-FILE-SAME")


def provenance_of(tuner: Tuner, source: Artifact, table: RangeTable) -> Provenance:
    """The provenance of the tuned weights, without paths and times.

    That of the source goes into `tuned_from`: its weights are not the ones in this file.
    """
    recipe = dataclasses.asdict(tuner.config)
    recipe["data"] = [[open_dataset(uri).name, share] for uri, share in tuner.config.data]
    recipe["scale"], recipe["steps"] = list(tuner.config.scale), tuner.steps_done
    recipe["images_sha256"] = table.images_sha256
    del recipe["minutes"], recipe["every"]
    before = dataclasses.replace(source.provenance, onnx_sha256=tuner.inputs_sha256["onnx"])
    return Provenance(weights_sha256=sha256_from_weights(tuner.weights), qat=recipe, tuned_from=before)


def sha256_from_weights(weights: Weights) -> str:
    """A hash of names and values."""
    total = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        total.update(name.encode() + b"\0" + weight.detach().cpu().numpy().tobytes())
    return total.hexdigest()


def draw_for(config: QatConfig, spec: ModelSpec) -> Draw:
    """A function that draws an image of `config.data` for `finetune_int8`.

    MismatchError where the labels are used and are not those of the model.
    """
    size = (spec.input.height, spec.input.width)
    recipe = TrainConfig(spec.name, spec.family, spec.variant, config.data, size, size, config.steps)
    sets = sets_from_config(recipe)
    if config.supervise and sets[0].labels.names != spec.labels.names:
        raise MismatchError(
            f"{sets[0].name} and {spec.name} have different classes",
            hint="name data with the model's classes",
        )
    return draw_from(recipe, sets)
