"""The last step of every build: check that the engine computes what its ONNX says, and labels as the float model does.

If it does not, the error names the first wrong layer and the likely cause.
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
    ALTERNATIVES,
    CheckImages,
    agreement_with,
    check_agreement,
    default_hint,
    equal_labels,
    least_labels,
    one_class_note,
)
from edgeseg.engines.backend import Array
from edgeseg.engines.devices import AUTO
from edgeseg.engines.diagnose import NAME_REFERENCE, FailingLayer, diagnose, node_label
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.engines.subgraphs import Deviation, SubgraphComparator, copied_outputs, reference_is_available
from edgeseg.errors import AgreementError, UnavailableError
from edgeseg.graph.truncate import data_flow, node_of
from edgeseg.metrics.agreement import labels_from_output
from edgeseg.provenance import Agreement
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)

SOURCE_FRAMES = 2  # running an ONNX without optimisation takes seconds
# Two right runtimes that round independently differ by 2 ** 0.5 times the change by rounding, in any tensor. Measured:
# 1.1 in untrained nets, which amplify differences; 1.9 behind a float convolution of means there, whose sums almost
# cancel; 3 to 8 behind a concat that OpenVINO computes wrongly.
INDEPENDENT_ROUNDING = 2.0
DEBUG = "pip install edgeseg[debug]"  # installs Polygraphy, which the search for a layer needs


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
    """The agreement of `built`, checked; an empty one without images.

    source: the ONNX that it was built from. reference: the float model, if any. device: where `built` runs. force:
    accept fewer equal labels than its precision needs.
    """
    if images is None or not len(images.frames):
        return Agreement()
    binding = not force and not images.is_noise
    try:
        engine.runnable()
    except UnavailableError as problem:
        agreement = agreement_of_onnx(built, source, reference, images.frames, problem.message, binding)
    else:
        agreement = Agreement()
        if reference_is_available():
            agreement = agreement_with_source(engine, built, source, images.frames[:SOURCE_FRAMES], device)
        if reference is not None:
            labels = agreement_with_reference(engine, built, source, reference, images.frames, device, binding)
            agreement = dataclasses.replace(
                labels,
                source_labels=agreement.source_labels,
                source_relative_rms=agreement.source_relative_rms,
                note=labels.note or agreement.note,
            )
    if agreement.note:
        logger.warning("%s: %s", built.path.name, agreement.note)
    return dataclasses.replace(agreement, images=images.source)


def agreement_of_onnx(
    built: Artifact, source: LoadedModel, reference: LoadedModel | None, frames: Array, reason: str, binding: bool
) -> Agreement:
    """The agreement of the ONNX of `built` with the float model, for an engine that cannot run here."""
    judged = f"the ONNX, not the engine: {reason}"
    logger.warning("%s was not run: %s", built.path.name, reason)
    if reference is None:
        return Agreement(judged=judged)
    onnxruntime = open_engine("onnxruntime")
    with onnxruntime.open(source.artifact) as backend, onnxruntime.open(reference.artifact) as float_backend:
        agreement = agreement_with(backend, float_backend, frames)
    check_agreement(agreement, built.precision, name=source.path.name, binding=binding)
    return dataclasses.replace(agreement, judged=judged)


def agreement_with_source(
    engine: Engine, built: Artifact, source: LoadedModel, frames: Array, device: str
) -> Agreement:
    """The agreement of `built` with `source`. AgreementError if it computes something else.

    A mask does not show the size of a deviation: its graph is built once more to end in its logits.
    """
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
        comparator = SubgraphComparator(engine, source, built.precision, Path(folder), BuildOptions(device=device))
        with engine.open(built, RunOptions(device)) as backend:
            got, names = [copied_outputs(backend, frame) for frame in frames], [each.name for each in backend.outputs]
        want = comparator.reference(tuple(names), frames)
        logits = data_flow(comparator.model()).outputs
        if set(logits) <= set(names):
            deviation = comparator.compare(got, want, logits, frames)
        else:
            deviation = comparator.deviation(logits, frames)
        if not deviation:
            check_layers_inside(comparator, deviation, frames, built.path.name)
    ours, theirs = ([outputs[names[0]] for outputs in each] for each in (got, want))
    note = one_class_note([labels_from_output(each) for each in theirs])
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
    """The agreement of `built` with the float model. AgreementError if too few labels are equal."""
    # ONNX Runtime shares no code with the other engines
    judge = open_engine("onnxruntime") if reference_is_available() else engine
    with engine.open(built, RunOptions(device)) as backend, judge.open(reference.artifact) as float_backend:
        agreement = agreement_with(backend, float_backend, frames)
    cause, hint = "", ""
    if (agreement.labels or 0.0) < least_labels(built.precision) and reference_is_available():
        cause, hint = explain_labels(engine, source, reference, frames[:1])
    check_agreement(agreement, built.precision, name=built.path.name, cause=cause, hint=hint, binding=binding)
    return agreement


def explain_labels(engine: Engine, source: LoadedModel, reference: LoadedModel, frame: Array) -> tuple[str, str]:
    """Why an engine that computes its ONNX correctly does not label as the float model: a clause and a hint."""
    if source.precision is not Precision.INT8:
        return "", "give the float ONNX from which it was made: --reference"
    try:
        from edgeseg.engines.quantization_error import quantization_error
    except ImportError:
        return "", f"{default_hint(Precision.INT8)}; {DEBUG} finds the first layer with a large quantisation error"
    cause = quantization_error(engine, source, reference, frame)
    if cause is None:
        return "", ""
    hint = cause.hint if cause.hint == NAME_REFERENCE else f"{cause.hint}; {ALTERNATIVES}"
    return f"; {cause.sentence}", hint


def check_layers_inside(comparator: SubgraphComparator, deviation: Deviation, frames: Array, name: str) -> None:
    """AgreementError, which names the first wrong layer, unless rounding explains the deviation."""
    frame = frames[deviation.frame][None]
    problem = f"{name} deviates {deviation.rms:.1%} from its own ONNX; {deviation.allowed:.1%} are allowed"
    if np.isnan(deviation.rms):
        problem = f"{name} gives NaN or infinity"
    try:
        from edgeseg.engines.divergence import first_divergent_tensor, first_not_finite
    except ImportError as error:
        hint = f"{DEBUG} to find the first wrong layer"
        raise AgreementError(problem, hint=hint, code="ES-AGREEMENT-ONNX") from error
    logger.warning("%s deviates from its ONNX: searching for the first wrong layer", name)
    if deviation.finite:
        tensor, ratio = first_divergent_tensor(comparator, frame)
    else:
        tensor, ratio = first_not_finite(comparator, frame), np.inf
    if comparator.precision is Precision.INT8 and max(ratio, deviation.ratio) <= INDEPENDENT_ROUNDING:
        logger.warning("%s: no single layer is wrong; small differences add up", name)
        return
    node = node_of(comparator.model(), tensor)
    (values,) = comparator.reference((tensor,), frame)
    cause = diagnose(FailingLayer(comparator.engine, comparator.source, node, values[tensor]))
    message = f"{problem}; the first wrong layer is {node_label(node)}: {cause.sentence}"
    raise AgreementError(message, hint=cause.hint, code="ES-AGREEMENT-ONNX")
