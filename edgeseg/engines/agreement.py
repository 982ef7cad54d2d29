"""How well two loaded models agree on the same frames: the check that a build computes what its source computes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.artifact import Artifact
from edgeseg.engines.backend import Array, Backend
from edgeseg.errors import AgreementError, MismatchError
from edgeseg.metrics.agreement import label_agreement, labels_from_output
from edgeseg.metrics.least_labels import LEAST_LABELS
from edgeseg.provenance import Agreement
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)

# The relative RMS deviation of the logits from the engine's own ONNX that is always accepted.
# Measured on trained BiSeNets at up to 1024x512 (openvino, onnxruntime): fp32 up to 0.00001; bf16 0.003 to 0.005; int8
# 0.004 to 0.011, partly from bf16 around the int8 layers. Untrained nets amplify rounding: bf16 up to 0.026. fp16 has
# 3 bits more than bf16.
# A wrong engine, the canonical file on OpenVINO, which computes a concat wrongly: 0.027, 0.045 and 0.078.
# A larger deviation of int8 is compared with the change by rounding the activations: right engines deviated at most 1.1
# times as much (untrained nets, with an RMS up to 0.05, included), wrong ones 1.28 to 3.9 times. Above 1 a wrong layer
# is searched for.
SOURCE_RMS = {Precision.FP32: 0.001, Precision.FP16: 0.01, Precision.BF16: 0.05, Precision.INT8: 0.02}


@dataclass(frozen=True, eq=False)
class CheckImages:
    """The frames on which an engine is compared with its source, (N, H, W, 3) uint8 at the input's size.

    source: their origin, for people. advice: how to give better ones; "" if these are good.
    is_noise: whether they are noise, so that the share of equal labels decides nothing.
    """

    frames: Array
    source: str = ""
    advice: str = ""
    is_noise: bool = False


def agreement_with(backend: Backend, reference: Backend, frames: Array) -> Agreement:
    """The share of equal labels at the resolution of the output, and the largest difference of a logit.

    frames: (N, H, W, 3) uint8 at the input size of both. There is no difference for models that give a mask. There is a
    note if the reference has one label everywhere, so that equal labels mean nothing.
    """
    equal, differences, reference_labels = [], [], []
    for frame in frames:
        feed = np.ascontiguousarray(frame[None])
        got, want = (single_output(each, feed) for each in (backend, reference))
        if got.shape != want.shape:
            message = f"the output of {backend.name} is {got.shape}, that of {reference.name} {want.shape}"
            hint = "give the float ONNX from which this model was made: --reference"
            raise MismatchError(message, hint=hint, code="ES-MISMATCH-REFERENCE")
        reference_labels.append(labels_from_output(want))
        equal.append(label_agreement(labels_from_output(got), reference_labels[-1]))
        if got.dtype.kind == "f":
            differences.append(np.abs(got.astype(np.float32) - want.astype(np.float32)).max())
    largest = float(max(differences)) if differences else None
    return Agreement(len(equal), float(np.mean(equal)), largest, note=one_class_note(reference_labels))


def single_output(backend: Backend, rgb: Array) -> Array:
    """The output of a model with one input and one output."""
    outputs = backend.infer({backend.inputs[0].name: rgb})
    backend.synchronize()
    return outputs[backend.outputs[0].name]


def relative_rms(got: Iterable[Array], want: Iterable[Array]) -> float:
    """The root mean square of all differences divided by that of `want`; nan if a value is not finite.

    0 if both are zero everywhere, and infinite if only `want` is.
    """
    noise = signal = 0.0
    for ours, theirs in zip(got, want):
        exact = theirs.astype(np.float64)
        noise += float(np.square(ours - exact).sum())
        signal += float(np.square(exact).sum())
    if signal == 0.0:
        return float("inf") if noise > 0.0 else noise
    return float(np.sqrt(noise / signal))


def signal_to_noise_db(got: Iterable[Array], want: Iterable[Array]) -> float:
    """The power of `want` divided by that of all differences, in dB; infinite without differences."""
    rms = relative_rms(got, want)
    return float("inf") if rms == 0 else -20 * float(np.log10(rms))


def all_finite(arrays: Iterable[Array]) -> bool:
    """Whether no value is NaN or infinite."""
    return all(bool(np.isfinite(array).all()) for array in arrays)


def one_class_note(labels: Sequence[Array]) -> str:
    """A note for the sidecar if all `labels` of a model are one class; "" otherwise."""
    classes = {int(label) for each in labels for label in np.unique(each)}
    return f"every pixel is class {classes.pop()}: equal labels mean nothing" if len(classes) == 1 else ""


def equal_labels(got: Sequence[Array], want: Sequence[Array]) -> float:
    """The mean share of equal labels of two lists of outputs."""
    return float(np.mean([label_agreement(labels_from_output(a), labels_from_output(b)) for a, b in zip(got, want)]))


def check_agreement(
    agreement: Agreement, precision: Precision, *, name: str, cause: str = "", hint: str = "", binding: bool = True
) -> None:
    """AgreementError if fewer labels are equal than a build of `precision` needs. binding: False to log it instead."""
    share, least = agreement.labels or 0.0, least_labels(precision)
    message = f"{name} labels {share:.1%} of the pixels as the float model does"
    if share < least and binding:
        raise AgreementError(f"{message}; {least:.0%} are required{cause}", hint=hint or default_hint(precision))
    if share < least:
        logger.warning("%s%s", message, cause)


def warn_of_noise(images: CheckImages) -> None:
    """Log how to give better images than `images`."""
    if images.advice:
        logger.warning("%s", images.advice)


def warn_of_changed_labels(built: Artifact) -> None:
    """Log if an int8 engine that a user asked for changes more labels than the automatic choice accepts."""
    share, images = built.agreement.labels or 0.0, built.agreement.images
    # Less was refused, or logged because of --force.
    if built.precision is Precision.INT8 and LEAST_LABELS["int8 engine"] <= share < LEAST_LABELS["int8 by choice"]:
        name = built.path.name
        logger.warning("%s labels %.1f%% of the pixels as the float model does (%s)", name, 100 * share, images)


def default_hint(precision: Precision) -> str:
    """What to do if too few labels are those of the float model."""
    if precision is Precision.INT8:
        return f"calibrate on images like those of the camera; {ALTERNATIVES}"
    return "try another engine"


ALTERNATIVES = "--precision auto searches for layers to keep in float, --force accepts the engine"


def least_labels(precision: Precision) -> float:
    """The smallest accepted share of labels that equal those of the float model."""
    return LEAST_LABELS["int8 engine" if precision is Precision.INT8 else "float engine"]
