"""MODEL, whatever it is, opened: an engine as it lies there, and anything else converted first, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeseg.artifact import Artifact, model_stem, sidecar_path
from edgeseg.conversion import chosen_precision, convert
from edgeseg.engines import default_engine, open_engine
from edgeseg.engines.options import BuildOptions
from edgeseg.errors import EdgeSegError, MismatchError
from edgeseg.files import existing_file, sha256_from_file
from edgeseg.measure.device import package_versions
from edgeseg.progress import Progress, silent
from edgeseg.recipe import bundled_ranges
from edgeseg.segmenter import Segmenter, open_segmenter
from edgeseg.spec import Precision
from edgeseg.weights import BUNDLED, is_model, weights_path
from edgeseg.weights.checkpoint import model_name


def open_model(
    model: str | Path,
    *,
    engine: str | None = None,
    precision: Precision | None = None,
    size: tuple[int, int] | None = None,
    out: Path = Path("engines"),
    device: str = "auto",
    threads: int | None = None,
    progress: Progress = silent,
) -> Segmenter:
    """Open MODEL, whatever it is: an engine or ONNX as it lies there; anything else is converted first, once.

    device: that it runs on, and is converted for. threads: of an engine on a CPU.
    MismatchError where a file is not of the engine, precision or size that is asked for.
    """
    if not is_model(model) or sidecar_path(Path(model)).exists():
        path = existing_file(model)
        check_wishes(path, engine, precision, size)
        return open_segmenter(path, engine=engine, device=device, threads=threads)
    built = existing_engine(model, engine, precision, size, out, device)
    if built is None:
        options = BuildOptions(device=device)
        built = convert(
            model, engine=engine, precision=precision, size=size, options=options, out=out, progress=progress
        ).engine
    return open_segmenter(built.path, device=device, threads=threads)


def check_wishes(path: Path, engine: str | None, precision: Precision | None, size: tuple[int, int] | None) -> None:
    """MismatchError unless the engine or ONNX at `path` is of what is asked for: it is opened as it lies there."""
    if (engine, precision, size) == (None, None, None):
        return
    artifact = Artifact.open(path)
    own = artifact.spec.input
    takes_onnx = engine is not None and open_engine(engine).extension == "onnx"
    own_engine = artifact.engine or (engine if takes_onnx else default_engine(for_onnx=True))
    found = {"engine": own_engine, "precision": str(artifact.precision)}
    found["size"] = f"{own.width}x{own.height}"
    asked = {"engine": engine, "precision": precision and str(precision), "size": size and f"{size[0]}x{size[1]}"}
    for option, wish in asked.items():
        if wish not in (None, found[option]):
            raise MismatchError(
                f"{path.name} has the {option} {found[option]}, and {wish} was asked for",
                hint=f"convert the model or its float ONNX: edgeseg convert MODEL --{option} {wish}",
            )


def existing_engine(
    model: str | Path,
    engine: str | None,
    precision: Precision | None,
    size: tuple[int, int] | None,
    out: Path,
    device: str = "auto",
) -> Artifact | None:
    """The engine that an earlier conversion of these very weights left in `out`, built by these very versions."""
    weights = weights_path(model)
    engine = engine or default_engine()
    calibrated = model in BUNDLED and bundled_ranges(str(model)) is not None
    precision = precision or chosen_precision(engine, calibrated=calibrated, device=device)
    name = model_stem(model_name(weights), size)
    path = out / f"{name}.{engine}.{precision}.{open_engine(engine).extension}"
    if not sidecar_path(path).exists():
        return None
    try:
        artifact = Artifact.open(path)
    except EdgeSegError:
        return None
    current = artifact.provenance.get("weights_sha256") == sha256_from_file(weights)
    return artifact if current and artifact.versions == current_versions(engine) else None


def current_versions(engine: str) -> dict[str, Any]:
    """The versions that a build of today would note in its sidecar."""
    return dict(package_versions(("edgeseg", *open_engine(engine).packages)))
