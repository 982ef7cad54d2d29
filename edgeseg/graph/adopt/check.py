"""Run the original file, and compare a deploy graph with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.errors import AgreementError, FormatError
from edgeseg.graph.adopt.attach import DeployOutput
from edgeseg.graph.adopt.heads import Array, Head
from edgeseg.graph.adopt.network_input import NetworkInput
from edgeseg.graph.adopt.source import Source, first_line
from edgeseg.graph.deploy import append_mask_tail
from edgeseg.metrics.agreement import label_agreement, labels_from_output
from edgeseg.metrics.least_labels import LEAST_LABELS
from edgeseg.sessions import open_session
from edgeseg.spec import InputSpec, ModelSpec, Output

# Folded batch norms and another order of summation keep about six digits; four are required.
LOGIT_TOLERANCE = 1e-4
MAX_PROBABILITY = 1 - 1e-7  # the largest float32 below 1


@dataclass(frozen=True)
class Agreement:
    """How the deploy graph compares with its source on some frames.

    logit_difference: largest difference of a logit as a share of the largest logit; nan if only labels are compared.
    labels: share of equal labels. classes: ids of the classes that the source predicts on the frames.
    """

    frames: int
    logit_difference: float
    labels: float
    classes: tuple[int, ...]


def run_source(
    source: Source, network_input: NetworkInput, spec: InputSpec, outputs: Sequence[str], frames: Sequence[Array]
) -> list[list[Array]]:
    """Run the original file on `frames` ((H, W, 3) rgb at the input's size): one array per output for each frame.

    ONNX Runtime's optimisations are off, because the deploy graph is made with them.
    """
    try:
        session = open_session(source.proto.SerializeToString(), "none")
        results = []
        for rgb in frames:
            image = network_input.preprocess(rgb, spec)
            arrays = session.run(list(outputs), {network_input.name: image})
            # an output that is the input itself lies in the memory of `image`
            results.append([array.copy() if isinstance(array, np.ndarray) else array for array in arrays])
    except Exception as problem:  # ONNX Runtime has a class of its own for each failure
        message = f"{source.path.name} does not run at {network_input.size}: {first_line(problem)}"
        hint = "try another --size, of multiples of 32" if network_input.dynamic else "export it again"
        raise FormatError(message, hint=hint) from problem
    for arrays in results:
        for name, array in zip(outputs, arrays):
            check_numbers(name, array)
    return results


def check_numbers(name: str, array: object) -> None:
    """FormatError unless the output `name` is a numeric tensor without NaN."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iubf":
        raise FormatError(f"output {name} is not a numeric tensor", hint="choose another output with --output NAME")
    if array.dtype.kind == "f" and np.isnan(array).any():
        hint = "its weights contain NaN or infinities: export an earlier checkpoint"
        raise FormatError(f"output {name} is NaN at some pixels", hint=hint)


def compare_with_source(
    model: ir.Model,
    spec: ModelSpec,
    output: DeployOutput,
    heads: Sequence[Head],
    frames: Sequence[NDArray[np.uint8]],
    source_outputs: Sequence[Sequence[Array]],
) -> Agreement:
    """Run the deploy graph `model` on `frames`, and compare it with `source_outputs`, those of the original file.

    AgreementError if they differ. Logits are compared if no operator was removed from the graph, else only labels.
    """
    results = run_deployed(model if output.align_corners is None else with_mask_tail(model, spec), frames)
    expected = [expected_output(heads, output, arrays) for arrays in source_outputs]
    masks = [(labels(a), labels(b)) for a, b in zip(results, expected)]
    share = float(np.mean([label_agreement(a, b) for a, b in masks]))
    difference = float("nan")
    if output.kind is Output.LOGITS and not any(output.removed_ops):
        difference = max(relative_difference(a, b) for a, b in zip(results, expected))
    if difference > LOGIT_TOLERANCE or not share >= LEAST_LABELS["adoption"]:
        message = f"the deploy graph and its source agree on {share:.4f} of the labels, logits to {difference:.1e}"
        raise AgreementError(message, hint="report this as a bug, with the ONNX; an export at opset 17 may work")
    return Agreement(len(frames), difference, share, tuple(np.unique([b for _, b in masks]).tolist()))


def run_deployed(model: ir.Model, frames: Sequence[NDArray[np.uint8]]) -> list[Array]:
    """The output of a deploy graph for each frame, without the batch axis."""
    session = open_session(ir.to_proto(model).SerializeToString())
    return [session.run(None, {session.get_inputs()[0].name: rgb[None]})[0][0] for rgb in frames]


def with_mask_tail(model: ir.Model, spec: ModelSpec) -> ir.Model:
    """A copy whose output is the mask at the input's size, as `Segmenter` computes it."""
    copy: ir.Model = ir.from_proto(ir.to_proto(model))
    return append_mask_tail(copy, spec)


def expected_output(heads: Sequence[Head], output: DeployOutput, arrays: Sequence[Array]) -> Array:
    """The logits (C, h, w) or mask (h, w) that the deploy graph must give, from the source's outputs for one frame."""
    planar = [head.planar(array) for head, array in zip(heads, arrays)]
    if output.kind is Output.MASK:
        return np.asarray(planar[0][0])
    if len(heads) == 1 and heads[0].channels > 1:
        return planar[0]
    margins = [foreground_margin(*values) for values in zip(heads, planar, output.removed_ops)]
    return np.stack([np.zeros_like(margins[0]), *margins])


def foreground_margin(head: Head, values: Array, removed_ops: Sequence[str]) -> Array:
    """The margin (h, w) of a head's foreground over its background, on the scale of the deploy graph's logits."""
    if head.channels == 1:
        margin = 2 * values[0] - 1 if head.probability else values[0]
    else:
        margin = values[1] - values[0]
    if {"Softmax", "Sigmoid"} & set(removed_ops):  # p = sigmoid(m), or a softmax of two: 2p - 1 = tanh(m / 2)
        margin = 2 * np.arctanh(np.clip(margin, -MAX_PROBABILITY, MAX_PROBABILITY))
    return np.asarray(margin)


def labels(output: Array) -> Array:
    """Labels (h, w) of logits (C, h, w); a mask is returned unchanged."""
    return np.asarray(labels_from_output(output[None])[0])


def relative_difference(result: Array, expected: Array) -> float:
    """The largest difference, as a share of the largest expected magnitude."""
    return float(np.abs(result - expected).max() / max(float(np.abs(expected).max()), 1e-12))
