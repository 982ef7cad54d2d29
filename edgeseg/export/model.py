"""MODEL, a bundled name or a weights file, to a deploy ONNX that was held against its torch module."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifact import Artifact
from edgeseg.errors import FormatError
from edgeseg.export.onnx import onnx_from_module
from edgeseg.export.parity import Parity, parity_of_export
from edgeseg.files import sha256_from_file, writable_folder
from edgeseg.models import open_family
from edgeseg.spec import ModelSpec, Output
from edgeseg.weights import weights_path
from edgeseg.weights.file import spec_from_weights, state_from_weights


def export_model(
    model: str | Path,
    path: Path,
    *,
    frames: Sequence[NDArray[np.uint8]],
    size: tuple[int, int] | None = None,
    output: Output = Output.LOGITS,
) -> tuple[Artifact, Parity]:
    """Export `model` to the ONNX at `path`, and hold that against the torch module on `frames`.

    frames: (H, W, 3) rgb at the input's size. size: (width, height); that of the weights' spec unless given.
    The file is removed again where the two do not agree.
    """
    weights, spec = weights_path(model), spec_from_model(model, size)
    network = open_family(spec.family).load(spec, state_from_weights(weights))
    writable_folder(path.parent)
    provenance = {"weights": weights.name, "weights_sha256": sha256_from_file(weights)}
    artifact = onnx_from_module(network, spec, path, output=output, provenance=provenance)
    try:
        return artifact, parity_of_export(network, artifact.path, spec.input, frames, output=output)
    except BaseException:
        path.unlink()
        raise


def spec_from_model(model: str | Path, size: tuple[int, int] | None = None) -> ModelSpec:
    """The spec of `model`, a bundled name or a weights file, at `size` (width, height); at its own unless given.

    SizeError, with the nearest sizes, where the network does not take it.
    """
    weights = weights_path(model)
    if weights.suffix != ".safetensors":
        hint = "name a bundled model (edgeseg models) or a .safetensors file that edgeseg trained"
        raise FormatError(f"not a weights file: {weights}", hint=hint)
    spec = spec_from_weights(weights)
    spec = spec.resized(*size) if size else spec
    open_family(spec.family).size_rule.check(spec.input.width, spec.input.height, model=spec.name)
    return spec
