"""Compare an exported ONNX with its torch module."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from edgeseg.errors import AgreementError
from edgeseg.metrics.agreement import label_agreement, labels_from_output
from edgeseg.metrics.least_labels import LEAST_LABELS
from edgeseg.sessions import open_session
from edgeseg.spec import InputSpec, ModelSpec, Output


@dataclass(frozen=True)
class Parity:
    """How an ONNX compares with its module.

    logit_difference: largest absolute difference; nan for a mask.
    agreement: share of equal labels, at the resolution of the graph's output.
    """

    frames: int
    logit_difference: float
    agreement: float


def parity_of_export(
    network: nn.Module, onnx: Path, spec: ModelSpec, frames: Sequence[NDArray[np.uint8]], *, output: Output
) -> Parity:
    """Compare the ONNX with `network` on `frames` ((H, W, 3) rgb at the input's size).

    AgreementError if fewer labels agree than LEAST_LABELS requires, or the logits of the module are not finite.
    """
    session = open_session(onnx)
    differences, agreements = [], []
    for rgb in frames:
        logits = logits_from_module(network, spec.input, rgb)
        if not logits.isfinite().all():
            hint = "the weights contain NaN or infinities, or are too large: use an earlier checkpoint"
            raise AgreementError("the torch module gives values that are not finite", hint=hint, code="ES-NOT-FINITE")
        (result,) = session.run(None, {session.get_inputs()[0].name: rgb[None]})
        if output is Output.LOGITS:
            differences.append(float(np.abs(result - logits.numpy()).max()))
            labels = labels_from_output(logits.numpy())
        else:
            labels = labels_from_logits(logits, spec.align_corners, rgb.shape[:2])
        agreements.append(label_agreement(labels_from_output(result), labels))
    parity = Parity(len(frames), max(differences, default=float("nan")), float(np.mean(agreements)))
    if not parity.agreement >= LEAST_LABELS["export"]:
        raise AgreementError(
            f"the exported ONNX and the torch module agree on only {parity.agreement:.4f} of the labels",
            hint="report this as a bug, with the model and the versions that edgeseg doctor prints",
        )
    return parity


def labels_from_logits(logits: torch.Tensor, align_corners: bool, size: tuple[int, ...]) -> NDArray[np.int64]:
    """Labels (1, H, W) at `size` (H, W), from logits upsampled as in the spec."""
    large = torch.nn.functional.interpolate(logits, size, mode="bilinear", align_corners=align_corners)
    return np.asarray(large.argmax(1))


@torch.inference_mode()
def logits_from_module(network: nn.Module, spec: InputSpec, rgb: NDArray[np.uint8]) -> torch.Tensor:
    """Logits (1, C, h, w) of one frame, normalised as in the spec."""
    image = torch.from_numpy(rgb[None].copy()).permute(0, 3, 1, 2).float()
    if spec.color == "bgr":
        image = image.flip(1)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) * 255 for values in (spec.mean, spec.std))
    logits: torch.Tensor = network((image - mean) / std)
    return logits
