"""How far two loaded models agree on the same frames: the check that a build computes what its source computes."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgeseg.engines.backend import Array, Backend
from edgeseg.errors import AgreementError, MismatchError
from edgeseg.spec import Precision

# Share of equal labels below which a build is refused. These catch a wrong graph, not a small loss: that is what the
# mIoU of `edgeseg eval` is for.
# Float: bf16 keeps 8 bits of each activation, which moves labels only where two logits all but tie.
FLOAT_LABELS = 0.98
# int8: a post-training quantisation that lost 5 mIoU still labels about nine pixels in ten alike; a range table of
# another model, or a runtime that computes the graph wrongly, labels fewer.
INT8_LABELS = 0.80


def agreement_with(backend: Backend, reference: Backend, frames: Array) -> dict[str, Any]:
    """The share of equal labels at the resolution of the output, and the largest difference of a logit.

    frames: (N, H, W, 3) uint8 at the input size of both. The difference is left out for models that give a mask.
    """
    equal, difference = [], []
    for frame in frames:
        feed = np.ascontiguousarray(frame[None])
        got, want = (single_output(each, feed) for each in (backend, reference))
        if got.shape != want.shape:
            message = f"{backend.name} gives {got.shape}, and {reference.name} {want.shape}"
            raise MismatchError(message, hint="name the float ONNX that this model was made from as the reference")
        equal.append(np.mean(labels_from_output(got) == labels_from_output(want)))
        if got.dtype.kind == "f":
            difference.append(np.abs(got.astype(np.float32) - want.astype(np.float32)).max())
    found: dict[str, Any] = {"frames": len(equal), "labels": float(np.mean(equal))}
    return {**found, "max_abs_logit_difference": float(max(difference))} if difference else found


def single_output(backend: Backend, rgb: Array) -> Array:
    """The output of a model with one input and one output."""
    outputs = backend.infer({backend.inputs[0].name: rgb})
    backend.synchronize()
    return outputs[backend.outputs[0].name]


def labels_from_output(output: Array) -> Array:
    """Labels (N, h, w) of logits (N, C, h, w), or of a mask as it is."""
    return output.argmax(1) if output.ndim == 4 else output


def check_agreement(found: dict[str, Any], precision: Precision, *, name: str) -> None:
    """AgreementError where `agreement_with` found fewer equal labels than a build of `precision` must have."""
    least = INT8_LABELS if precision is Precision.INT8 else FLOAT_LABELS
    if found["labels"] < least:
        message = f"{name} labels {found['labels']:.1%} of the pixels as the float model does; {least:.0%} are needed"
        hint = "calibrate on images like those of the camera" if precision is Precision.INT8 else "try another engine"
        raise AgreementError(message, hint=hint)
