"""The last step of every build: the engine computes what its ONNX says, and labels as the float model does.

Where it does not, the error names the first layer that is off, and the likely cause.
"""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from pathlib import Path

import numpy as np

from edgeseg.artifact import Artifact, LoadedModel
from edgeseg.engines import open_engine
from edgeseg.engines.agreement import (
    OTHERWISE,
    CheckImages,
    agreement_with,
    check_agreement,
    equal_labels,
    least_labels,
    one_class,
)
from edgeseg.engines.backend import Array
from edgeseg.engines.devices import AUTO
from edgeseg.engines.diagnose import NAME_REFERENCE, FailingLayer, diagnose, named
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.engines.reference import plain_is_available
from edgeseg.engines.subgraphs import Deviation, SubgraphComparator, kept_outputs
from edgeseg.errors import AgreementError, UnavailableError
from edgeseg.graph.truncate import data_flow, node_of
from edgeseg.metrics.agreement import labels_from_output
from edgeseg.provenance import Agreement
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)

SOURCE_FRAMES = 2  # running an ONNX as it is written takes seconds
# Two right runtimes whose codes round independently differ by 2 ** 0.5 times what rounding changes, in any tensor.
# Where small differences are amplified (untrained nets) 1.1 was seen; behind a concat that OpenVINO computes wrongly
# 3 to 8.
INDEPENDENT_ROUNDING = 1.5
DEBUG = "pip install edgeseg[debug]"  # brings Polygraphy, which the search for a layer rests on


def agreement_of(
    engine: Engine,
    built: Artifact,
    source: LoadedModel,
    reference: LoadedModel | None,
    images: CheckImages | None,
    *,
    device: str = AUTO,
    force: bool = False,
) -> Agreement:
    """How the labels of `built` agree, checked; an empty one where there are no images.

    source: the ONNX it was built from. reference: the float model, if any. device: on which `built` runs. force: take
    fewer equal labels than a build of its precision must have.
    """
    if images is None or not len(images.frames):
        return Agreement()
    binding = not force and not images.is_noise
    try:
        engine.runnable()
    except UnavailableError as problem:
        found = agreement_of_onnx(built, source, reference, images.frames, problem.message, binding)
    else:
        found = Agreement()
        if plain_is_available():
            found = agreement_with_source(engine, built, source, images.frames[:SOURCE_FRAMES], device)
        if reference is not None:
            agreement = agreement_with_reference(engine, built, source, reference, images.frames, device, binding)
            found = merged(agreement, found)
    if found.note:
        logger.warning("%s: %s", built.path.name, found.note)
    return dataclasses.replace(found, images=images.source)


def merged(found: Agreement, with_source: Agreement) -> Agreement:
    """`found` with what `with_source` says of the ONNX that the engine was built from."""
    return dataclasses.replace(
        found,
        source_labels=with_source.source_labels,
        source_relative_rms=with_source.source_relative_rms,
        note=found.note or with_source.note,
    )


def agreement_of_onnx(
    built: Artifact, source: LoadedModel, reference: LoadedModel | None, frames: Array, why: str, binding: bool
) -> Agreement:
    """How the ONNX that `built` was compiled from agrees with the float model: the engine itself cannot run here."""
    judged = f"the ONNX, not the engine: {why}"
    logger.warning("%s was not run: %s", built.path.name, why)
    if reference is None:
        return Agreement(judged=judged)
    judge = open_engine("onnxruntime")
    with judge.open(source.artifact) as backend, judge.open(reference.artifact) as truth:
        found = agreement_with(backend, truth, frames)
    check_agreement(found, built.precision, name=source.path.name, binding=binding)
    return dataclasses.replace(found, judged=judged)


def agreement_with_source(
    engine: Engine, built: Artifact, source: LoadedModel, frames: Array, device: str
) -> Agreement:
    """How `built` agrees with `source` as it is written. AgreementError where it computes something else.

    A mask hides by how much, so that the graph is built once more to end in its logits.
    """
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
        comparator = SubgraphComparator(engine, source, built.precision, Path(folder), BuildOptions(device=device))
        with engine.open(built, RunOptions(device)) as backend:
            got, names = [kept_outputs(backend, frame) for frame in frames], [each.name for each in backend.outputs]
        want = comparator.reference(tuple(names), frames)
        ends = data_flow(comparator.model()).outputs
        logits = set(ends) <= set(names)
        deviation = comparator.compare(got, want, ends, frames) if logits else comparator.deviation(ends, frames)
        if deviation.off:
            check_layers_inside(comparator, deviation, frames, built.path.name)
    ours, theirs = ([outputs[names[0]] for outputs in each] for each in (got, want))
    note = one_class([labels_from_output(each) for each in theirs])
    return Agreement(source_labels=equal_labels(ours, theirs), source_relative_rms=deviation.rms, note=note)


def agreement_with_reference(
    engine: Engine,
    built: Artifact,
    source: LoadedModel,
    reference: LoadedModel,
    frames: Array,
    device: str,
    binding: bool,
) -> Agreement:
    """How `built` agrees with the float model. AgreementError where it labels otherwise."""
    with engine.open(built, RunOptions(device)) as backend, reference_engine(engine).open(reference.artifact) as truth:
        found = agreement_with(backend, truth, frames)
    why, hint = "", ""
    if (found.labels or 0.0) < least_labels(built.precision) and plain_is_available():
        why, hint = loss_reasons(engine, source, reference, frames[:1])
    check_agreement(found, built.precision, name=built.path.name, why=why, hint=hint, binding=binding)
    return found


def loss_reasons(engine: Engine, source: LoadedModel, reference: LoadedModel, frame: Array) -> tuple[str, str]:
    """What to add to the error of an engine that computes its ONNX rightly, and is not like the float model; a hint."""
    if source.precision is not Precision.INT8:
        return "", "name the float ONNX that it was made from with --reference"
    try:
        from edgeseg.engines.quantization_error import loss_explained
    except ImportError:
        hint = f"calibrate on images like those of the camera; {OTHERWISE}"
        return "", f"{hint}; {DEBUG} finds the first layer that is lost"
    cause = loss_explained(engine, source, reference, frame)
    if cause is None:
        return "", ""
    hint = cause.hint if cause.hint == NAME_REFERENCE else f"{cause.hint}; {OTHERWISE}"
    return f"; {cause.sentence}", hint


def check_layers_inside(comparator: SubgraphComparator, deviation: Deviation, frames: Array, name: str) -> None:
    """AgreementError, which names the first layer that is off, unless rounding accounts for the whole deviation."""
    frame = frames[deviation.frame][None]
    what = f"is {deviation.rms:.1%} off from its own ONNX, {deviation.allowed:.1%} are allowed"
    if np.isnan(deviation.rms):
        what = "gives NaN or infinity"
    try:
        from edgeseg.engines.divergence import first_divergent_tensor, first_not_finite
    except ImportError as problem:
        raise AgreementError(f"{name} {what}", hint=f"{DEBUG}, to find the first layer that is off") from problem
    logger.warning("%s does not compute quite what its ONNX says: looking for the first layer that is off", name)
    if deviation.finite:
        tensor, ratio = first_divergent_tensor(comparator, frame)
    else:
        tensor, ratio = first_not_finite(comparator, frame), np.inf
    if comparator.precision is Precision.INT8 and max(ratio, deviation.ratio) <= INDEPENDENT_ROUNDING:
        logger.warning("%s: no single layer is wrong, the differences add up from layer to layer", name)
        return
    node = node_of(comparator.model(), tensor)
    (values,) = comparator.reference((tensor,), frame)
    cause = diagnose(FailingLayer(comparator.engine, comparator.source, node, values[tensor]))
    message = f"{name} {what}; the first layer that is off is {named(node)}: {cause.sentence}"
    raise AgreementError(message, hint=cause.hint)


def reference_engine(engine: Engine) -> Engine:
    """ONNX Runtime, which shares no code with the others, or `engine` itself where that is not installed."""
    judge = open_engine("onnxruntime")
    try:
        judge.available()
    except UnavailableError:
        return engine
    return judge
