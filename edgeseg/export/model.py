"""Export a model (a bundled name, weights file or checkpoint) to a deploy ONNX, and compare it with its module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifact import Artifact
from edgeseg.errors import MismatchError
from edgeseg.export.adoption import Adoption, adoption_from_file
from edgeseg.export.parity import Parity, parity_of_export
from edgeseg.export.statistics import Statistics
from edgeseg.files import sha256_from_file, writable_folder
from edgeseg.models import open_family
from edgeseg.provenance import Provenance
from edgeseg.spec import ModelSpec, Output
from edgeseg.weights import weights_path
from edgeseg.weights.checkpoint import is_own
from edgeseg.weights.file import spec_from_weights, state_from_weights

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Source:
    """The weights and spec of a model. adoption: set for a checkpoint of another training code."""

    path: Path
    spec: ModelSpec
    state: Mapping[str, Tensor]
    adoption: Adoption | None = None


def export_model(
    model: str | Path | Source,
    path: Path,
    *,
    frames: Sequence[NDArray[np.uint8]],
    size: tuple[int, int] | None = None,
    output: Output = Output.LOGITS,
) -> tuple[Artifact, Parity]:
    """Export `model` to the ONNX at `path`, and compare that with the torch module on `frames`.

    frames: (H, W, 3) rgb at the input's size. size: (width, height); the default is that of the weights' spec, and it
    is ignored for a Source. The file is removed if the two do not agree.
    """
    from edgeseg.export.onnx import onnx_from_module  # a second to import, which training does not need

    source = model if isinstance(model, Source) else source_from_model(model, size)
    spec = source.spec
    network = open_family(spec.family).load(spec, source.state)
    writable_folder(path.parent)
    provenance = Provenance(
        weights=source.path.name,
        weights_sha256=sha256_from_file(source.path),
        origin=source.adoption.origin if source.adoption else "",
    )
    artifact = onnx_from_module(network, spec, path, output=output, provenance=provenance)
    try:
        return artifact, parity_of_export(network, artifact.path, spec, frames, output=output)
    except BaseException:
        path.unlink()
        raise


def source_from_model(
    model: str | Path,
    size: tuple[int, int] | None = None,
    labels: Path | None = None,
    statistics: Statistics | None = None,
) -> Source:
    """Read `model`, a bundled name, a weights file, a checkpoint or a Hugging Face folder.

    size: (width, height), by default its own; SizeError, with the nearest sizes, if the network does not take it.
    labels: a text file with the names of a checkpoint's classes. statistics: of a checkpoint's input.
    """
    path = weights_path(model)
    if not is_own(path):
        adoption = adoption_from_file(path, size=size, labels=labels, statistics=statistics)
        return Source(path, adoption.spec, adoption.state, adoption)
    if labels is not None:
        raise MismatchError(f"{path} has class names of its own", hint="leave out --labels")
    if statistics not in (None, Statistics()):
        raise MismatchError(f"{path} has an input spec of its own", hint="leave out --mean, --std and --color")
    return Source(path, own_spec(path, size), state_from_weights(path))


def own_spec(path: Path, size: tuple[int, int] | None) -> ModelSpec:
    """The spec of a weights file of edgeseg, at `size`."""
    spec = spec_from_weights(path)
    spec = spec.resized(*size) if size else spec
    open_family(spec.family).size_rule.check(spec.input.width, spec.input.height, model=spec.name)
    return spec
