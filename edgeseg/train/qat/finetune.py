"""From a float ONNX and its ranges to a tuned float ONNX and the same ranges, in one call that can be stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgeseg.artifact import Artifact, artifact_from_onnx, read_onnx, write_onnx
from edgeseg.calib.range import RangeTable
from edgeseg.datasets import open_dataset
from edgeseg.errors import FileProblem, FormatError, MismatchError
from edgeseg.files import sha256_from_file, writable_folder
from edgeseg.interrupt import interrupts_held
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
    """What a fine-tuning made.

    onnx: the tuned float graph. ranges: its table. steps, seconds: in all, those before a resumption too.
    losses: one a step of this run. resumed: the step at which it went on, 0 for a fresh start.
    """

    onnx: Artifact
    ranges: Path
    steps: int
    seconds: float
    losses: tuple[float, ...]
    resumed: int


def finetune_int8(
    onnx: Path, table: RangeTable, config: QatConfig, draw: Draw, out: Path, *, progress: Progress = silent
) -> QatResult:
    """Tune the float ONNX at `onnx` for int8; write it and its ranges to `out` as NAME.onnx and NAME.ranges.json.

    draw: a random picture (H, W, 3) with its labels (H, W), from the generator it is handed; see `draw_for`.
    Every `config.every` steps, and on Ctrl-C, NAME.qat.pt is written there; a later call goes on from it.
    MismatchError where the table is of another network, DataError where the loss is no number.
    """
    source = checked_source(onnx, out)
    proto = without_constant_nodes(read_onnx(onnx))
    table.check(ir.from_proto(proto), source.spec.name)
    tuner = tuner_from_onnx(proto, table, source, config, draw)
    checkpoint = writable_folder(out) / f"{onnx.stem}.qat.pt"
    resumed = tuner.done if tuner.resume(checkpoint) else 0
    losses = run(tuner, checkpoint, progress)
    tuned = onnx_with_weights(proto, tuner.weights)
    transferred = table.transferred(ir.from_proto(proto), ir.from_proto(tuned))
    artifact = dataclasses.replace(source, path=out / onnx.name, provenance=provenance_of(tuner, source, table))
    write_onnx(tuned, artifact)
    ranges = transferred.write(out / f"{onnx.stem}.ranges.json")
    return QatResult(artifact, ranges, tuner.done, tuner.seconds, tuple(losses), resumed)


def run(tuner: Tuner, checkpoint: Path, progress: Progress) -> list[float]:
    """All steps that are left, or all there is time for; their losses."""
    config, losses = tuner.config, []
    earlier, began = tuner.seconds, time.monotonic()
    limit = float("inf") if config.minutes is None else 60 * config.minutes
    try:
        with interrupts_held() as hold:
            while tuner.done < config.steps and tuner.seconds < limit:
                tuner.set_rate(max(tuner.done / config.steps, tuner.seconds / limit))
                losses.append(tuner.step(hold))
                tuner.seconds = earlier + time.monotonic() - began
                progress("fine-tune", tuner.done, config.steps)
                if tuner.done % config.every == 0:
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
    origin = {"onnx": sha256_from_file(source.path), "ranges": hashlib.sha256(table.to_json().encode()).hexdigest()}
    return Tuner(student, teacher, weights, source.spec, config, draw, origin)


def checked_source(onnx: Path, out: Path) -> Artifact:
    """The float ONNX. FormatError where it is quantised, FileProblem where the tuned one would overwrite it."""
    source = artifact_from_onnx(onnx)
    if source.precision is not Precision.FP32:
        raise FormatError(f"{onnx.name} is {source.precision} already", hint="name the fp32 ONNX it was made from")
    check_kept(onnx, out)
    return source


def check_kept(source: Path, out: Path) -> None:
    """FileProblem where the file `source` lies in `out`, and a file made there would overwrite it."""
    if source.resolve().parent == out.resolve():
        raise FileProblem(f"the tuned {source.name} would overwrite its source", hint="name another folder with -o")


def provenance_of(tuner: Tuner, source: Artifact, table: RangeTable) -> Provenance:
    """Where the tuned weights come from: plain data without paths and times.

    What the source says of its own weights goes one level down: they are not the ones in this file.
    """
    recipe = dataclasses.asdict(tuner.config)
    recipe["data"] = [[open_dataset(uri).name, share] for uri, share in tuner.config.data]
    recipe["scale"], recipe["steps"] = list(tuner.config.scale), tuner.done
    recipe["images_sha256"] = table.images_sha256
    del recipe["minutes"], recipe["every"]
    before = dataclasses.replace(source.provenance, onnx_sha256=tuner.origin["onnx"])
    return Provenance(weights_sha256=sha256_from_weights(tuner.weights), qat=recipe, tuned_from=before)


def sha256_from_weights(weights: Weights) -> str:
    """A hash of names and values."""
    total = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        total.update(name.encode() + b"\0" + weight.detach().cpu().numpy().tobytes())
    return total.hexdigest()


def draw_for(config: QatConfig, spec: ModelSpec) -> Draw:
    """A function that draws a picture of `config.data` for `finetune_int8`.

    MismatchError where its labels are to be learnt, and are not those of the model.
    """
    size = (spec.input.height, spec.input.width)
    recipe = TrainConfig(spec.name, spec.family, spec.variant, config.data, size, size, config.steps)
    sets = sets_from_config(recipe)
    if config.supervise and sets[0].labels.names != spec.labels.names:
        raise MismatchError(
            f"{sets[0].name} has other classes than {spec.name}",
            hint="tune without labels (--supervise 0), or name data with the model's classes",
        )
    return draw_from(recipe, sets)
