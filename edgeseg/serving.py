"""A model of any kind to the model repository of a Triton server, in one call."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.artifact import Artifact, LoadedModel, load_onnx
from edgeseg.conversion import float_onnx
from edgeseg.engines import open_engine
from edgeseg.engines.triton.config import protobuf
from edgeseg.engines.triton.options import ServeOptions
from edgeseg.engines.triton.repository import Repository, write_repository
from edgeseg.errors import MismatchError
from edgeseg.export.statistics import Statistics
from edgeseg.files import existing_file
from edgeseg.spec import Output
from edgeseg.weights import is_model

if TYPE_CHECKING:
    from edgeseg.export.parity import Parity


def repository_from_model(
    model: str | Path,
    out: Path,
    options: ServeOptions = ServeOptions(),  # noqa: B008 - frozen
    *,
    size: tuple[int, int] | None = None,
    labels: Path | None = None,
    statistics: Statistics | None = None,
    images: str | Path | None = None,
) -> tuple[Repository, Parity | None]:
    """Write `model` (a bundled name, weights, a checkpoint, an ONNX or an engine) to a repository in `out`.

    size: (width, height); labels, statistics: as for `convert`, of weights alone. images: to compare the ONNX of
    weights with torch; the comparison is returned, too. Errors as of `write_repository`.
    """
    protobuf()
    if is_model(model):
        with tempfile.TemporaryDirectory(prefix="edgeseg-") as folder:
            onnx, parity = float_onnx(
                model, Path(folder), size=size, output=Output.MASK, labels=labels, statistics=statistics, images=images
            )
            return write_repository(onnx, out, options), parity
    path = existing_file(model)
    if size or labels or statistics not in (None, Statistics()):
        message = f"{path.name} states its classes, input size and statistics itself"
        hint = "leave out --size, --labels, --mean, --std and --color"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-OPTIONS")
    return write_repository(model_from_file(path), out, options), None


def model_from_file(path: Path) -> LoadedModel | Artifact:
    """An ONNX, also one that is an engine; or the artifact of a plan."""
    artifact = Artifact.open(path)
    if artifact.engine and open_engine(artifact.engine).extension != "onnx":
        return artifact
    onnx = load_onnx(path)
    return LoadedModel(dataclasses.replace(onnx.artifact, engine=artifact.engine), onnx.proto)
