"""How far two loaded models agree on the same frames: the check that a build computes what its source computes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgeseg.artifact import Artifact
from edgeseg.engines.backend import Array, Backend
from edgeseg.errors import AgreementError, MismatchError
from edgeseg.metrics.agreement import LEAST_LABELS, label_agreement, labels_from_output
from edgeseg.provenance import Agreement
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)

# Relative RMS of the logits, against the engine's own ONNX as it is written, that is never questioned.
# Seen on trained BiSeNets at up to 1024x512 (openvino, onnxruntime): fp32 up to 0.00001; bf16 0.003 to 0.005; int8
# 0.004 to 0.011, of which bf16 around the int8 layers is a part. Untrained nets amplify rounding: bf16 up to 0.026.
# fp16 keeps 3 bits more than bf16.
# A wrong engine, the canonical file on OpenVINO, which computes a concat wrongly: 0.027, 0.045 and 0.078.
# int8 beyond this is held against what rounding its activations changes in the same logits: right engines had at most
# 1.1 times that (untrained nets, whose rms goes up to 0.05, included), the wrong ones 1.28 to 3.9 times. What is
# above 1 is searched for a wrong layer.
SOURCE_RMS = {Precision.FP32: 0.001, Precision.FP16: 0.01, Precision.BF16: 0.05, Precision.INT8: 0.02}


@dataclass(frozen=True, eq=False)
class CheckImages:
    """The frames on which an engine is held against its source, (N, H, W, 3) uint8 at the input's size.

    source: where they are from, for people. advice: what to give for better ones; "" where they are good.
    is_noise: whether they are no images at all, so that the share of equal labels decides nothing.
    """

    frames: Array
    source: str = ""
    advice: str = ""
    is_noise: bool = False


def agreement_with(backend: Backend, reference: Backend, frames: Array) -> Agreement:
    """The share of equal labels at the resolution of the output, and the largest difference of a logit.

    frames: (N, H, W, 3) uint8 at the input size of both. The difference is left out for models that give a mask.
    note: is there where the reference has one label everywhere, so that equal labels say nothing.
    """
    equal, difference, seen = [], [], []
    for frame in frames:
        feed = np.ascontiguousarray(frame[None])
        got, want = (single_output(each, feed) for each in (backend, reference))
        if got.shape != want.shape:
            message = f"{backend.name} gives {got.shape}, and {reference.name} {want.shape}"
            raise MismatchError(message, hint="name the float ONNX that this model was made from as the reference")
        seen.append(labels_from_output(want))
        equal.append(label_agreement(labels_from_output(got), seen[-1]))
        if got.dtype.kind == "f":
            difference.append(np.abs(got.astype(np.float32) - want.astype(np.float32)).max())
    largest = float(max(difference)) if difference else None
    return Agreement(len(equal), float(np.mean(equal)), largest, note=one_class(seen))


def single_output(backend: Backend, rgb: Array) -> Array:
    """The output of a model with one input and one output."""
    outputs = backend.infer({backend.inputs[0].name: rgb})
    backend.synchronize()
    return outputs[backend.outputs[0].name]


def relative_rms(got: Iterable[Array], want: Iterable[Array]) -> float:
    """The root mean square of all differences over that of `want`; nan where a value is not finite.

    0 where both are zero throughout, and infinite where only `want` is.
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
    """The power of `want` over that of all differences, in dB; infinite where there are none."""
    rms = relative_rms(got, want)
    return float("inf") if rms == 0 else -20 * float(np.log10(rms))


def all_finite(arrays: Iterable[Array]) -> bool:
    """Whether no value is NaN or infinite."""
    return all(bool(np.isfinite(array).all()) for array in arrays)


def one_class(labels: Sequence[Array]) -> str:
    """A note for the sidecar where one class is everywhere in `labels`, of one model; "" otherwise."""
    seen = {int(label) for each in labels for label in np.unique(each)}
    return f"every pixel is class {seen.pop()}: equal labels say nothing" if len(seen) == 1 else ""


def equal_labels(got: Sequence[Array], want: Sequence[Array]) -> float:
    """The share of equal labels of outputs."""
    return float(np.mean([label_agreement(labels_from_output(a), labels_from_output(b)) for a, b in zip(got, want)]))


def check_agreement(
    found: Agreement, precision: Precision, *, name: str, why: str = "", hint: str = "", binding: bool = True
) -> None:
    """AgreementError where `agreement_with` found fewer equal labels than a build of `precision` must have.

    binding: False to log what would be refused.
    """
    share, least = found.labels or 0.0, least_labels(precision)
    said = f"{name} labels {share:.1%} of the pixels as the float model does"
    if share < least and binding:
        raise AgreementError(f"{said}; {least:.0%} are needed{why}", hint=hint or usual_hint(precision))
    if share < least:
        logger.warning("%s%s", said, why)


def warn_of_noise(images: CheckImages) -> None:
    """Log what to give for better images than `images`, once for all that is built of a model."""
    if images.advice:
        logger.warning("%s", images.advice)


def warn_of_loss(built: Artifact) -> None:
    """Log that an int8 engine, which somebody asked for, changes more labels than one is given without being asked."""
    share, images = built.agreement.labels or 0.0, built.agreement.images
    # What lies below was refused, or was logged when it was forced.
    if built.precision is Precision.INT8 and LEAST_LABELS["int8 engine"] <= share < LEAST_LABELS["int8 by choice"]:
        name = built.path.name
        logger.warning("%s labels %.1f%% of the pixels as the float model does (%s)", name, 100 * share, images)


def usual_hint(precision: Precision) -> str:
    """What to type where too few labels are those of the float model."""
    if precision is Precision.INT8:
        return f"calibrate on images like those of the camera; {OTHERWISE}"
    return "try another engine"


OTHERWISE = "--precision auto looks for layers to leave float, --force takes the engine as it is"


def least_labels(precision: Precision) -> float:
    """The share of labels that must be equal to those of the float model."""
    return LEAST_LABELS["int8 engine" if precision is Precision.INT8 else "float engine"]
