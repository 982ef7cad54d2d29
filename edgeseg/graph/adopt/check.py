"""Whether a deploy graph says the same as the file that it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.errors import AgreementError
from edgeseg.graph.adopt.heads import Array, Head
from edgeseg.graph.adopt.tail import Tail
from edgeseg.graph.deploy import append_mask_tail
from edgeseg.metrics.agreement import LEAST_LABELS, label_agreement, labels_from_output
from edgeseg.sessions import open_session
from edgeseg.spec import ModelSpec, Output

# Float against float, of folded batch norms and another order of sums: six digits hold, and four are asked for.
LOGIT_TOLERANCE = 1e-4
CERTAIN = 1 - 1e-7  # a probability that a float32 can tell from 1


@dataclass(frozen=True)
class Agreement:
    """How the deploy graph compares with its source on some frames.

    logit_difference: largest difference of a logit, as a share of the largest logit; nan where only labels compare.
    labels: share of equal labels. seen: ids of the classes that the source gave.
    """

    frames: int
    logit_difference: float
    labels: float
    seen: tuple[int, ...]


def agreement_with_source(
    model: ir.Model,
    spec: ModelSpec,
    tail: Tail,
    heads: Sequence[Head],
    frames: Sequence[NDArray[np.uint8]],
    outputs: Sequence[Sequence[Array]],
) -> Agreement:
    """Run the deploy graph `model` on `frames` and hold it against `outputs`, which its source gave for them.

    AgreementError where they differ. Logits are compared where nothing was left out of the graph, else labels.
    """
    kept = not any(tail.left_out)
    got = deployed(model if tail.align_corners is None else enlarged(model, spec), frames)
    want = [by_hand(heads, tail, arrays) for arrays in outputs]
    masks = [(labels(a), labels(b)) for a, b in zip(got, want)]
    share = float(np.mean([label_agreement(a, b) for a, b in masks]))
    compares = kept and tail.output is Output.LOGITS
    differences = [difference(a, b) for a, b in zip(got, want)] if compares else [float("nan")]
    found = Agreement(len(frames), max(differences), share, tuple(np.unique([b for _, b in masks]).tolist()))
    if found.logit_difference > LOGIT_TOLERANCE or not share >= LEAST_LABELS["adoption"]:
        message = (
            f"the deploy graph and its source agree on {share:.4f} of the labels, logits to {max(differences):.1e}"
        )
        raise AgreementError(message, hint="report this as a bug, with the ONNX; exported at opset 17 it may work")
    return found


def deployed(model: ir.Model, frames: Sequence[NDArray[np.uint8]]) -> list[Array]:
    """What a deploy graph gives for each frame, without its batch."""
    session = open_session(ir.to_proto(model).SerializeToString())
    return [session.run(None, {session.get_inputs()[0].name: rgb[None]})[0][0] for rgb in frames]


def enlarged(model: ir.Model, spec: ModelSpec) -> ir.Model:
    """A copy that gives the mask at the input's size, as `Segmenter` would."""
    copy: ir.Model = ir.from_proto(ir.to_proto(model))
    return append_mask_tail(copy, spec)


def by_hand(heads: Sequence[Head], tail: Tail, arrays: Sequence[Array]) -> Array:
    """Logits (C, h, w) or a mask (h, w), from what the source gave for one frame."""
    planar = [head.planar(array) for head, array in zip(heads, arrays)]
    if tail.output is Output.MASK:
        return np.asarray(planar[0][0])
    if len(heads) == 1 and heads[0].channels > 1:
        return planar[0]
    found = [margin(head, values, left_out) for head, values, left_out in zip(heads, planar, tail.left_out)]
    return np.stack([np.zeros_like(found[0]), *found])


def margin(head: Head, values: Array, left_out: Sequence[str]) -> Array:
    """By how much one head prefers its foreground (h, w), on the scale of what the deploy graph takes from it."""
    if head.channels == 1:
        found: Any = 2 * values[0] - 1 if head.probability else values[0]
    else:
        found = values[1] - values[0]
    if {"Softmax", "Sigmoid"} & set(left_out):
        found = 2 * np.arctanh(
            np.clip(found, -CERTAIN, CERTAIN)
        )  # p = sigmoid(m), or a softmax of two: 2p - 1 = tanh(m/2)
    return np.asarray(found)


def labels(result: Array) -> Array:
    """(h, w) of logits (C, h, w), or of a mask as it is."""
    return np.asarray(labels_from_output(result[None])[0])


def difference(got: Array, want: Array) -> float:
    """The largest difference, as a share of the largest magnitude that is wanted."""
    return float(np.abs(got - want).max() / max(float(np.abs(want).max()), 1e-12))
