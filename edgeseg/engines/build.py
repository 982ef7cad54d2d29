"""From an ONNX to an engine that is proven to be what was asked for, or to no file at all."""

from __future__ import annotations

import dataclasses
import logging
import tempfile
from collections.abc import Iterable
from pathlib import Path

from edgeseg.artifact import Artifact, Layer, LoadedModel, Onnx, engine_filename, load_onnx
from edgeseg.engines import open_engine
from edgeseg.engines.agreement import CheckImages
from edgeseg.engines.backend import Array
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions
from edgeseg.engines.verify import agreement_of
from edgeseg.errors import EdgeSegError, FileProblem, MismatchError
from edgeseg.files import writable_folder
from edgeseg.progress import Progress, silent
from edgeseg.provenance import Provenance
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)

# What the ONNX must be for an engine of each precision: an engine only compiles (bf16 is a hint to its runtime).
SOURCE = {
    Precision.FP32: Precision.FP32,
    Precision.BF16: Precision.FP32,
    Precision.FP16: Precision.FP16,
    Precision.INT8: Precision.INT8,
}


def engine_from_onnx(
    onnx: Onnx,
    engine: str | Engine,
    *,
    precision: Precision | None = None,
    out_dir: Path,
    name: str | None = None,
    reference: Onnx | None = None,
    frames: Array | CheckImages | None = None,
    force: bool = False,
    overwrite: bool = False,
    options: BuildOptions | None = None,
    progress: Progress = silent,
) -> Artifact:
    """Build `<name>.<engine>.<precision>.<extension>` and its sidecar in `out_dir`, or nothing.

    precision: that of the ONNX by default. name: that of the model by default.
    reference: the float ONNX whose labels the engine must give; the ONNX itself where that is float.
    frames: (N, H, W, 3) uint8 at the input size, a few; without frames nothing is compared.
    force: take an int8 ONNX that was quantised for another engine, and fewer equal labels than are asked for else.
    overwrite: replace an engine that was made from other weights; FileProblem (ES-FILE-EXISTS) unless given.
    options: what the engine takes beside the precision; MismatchError for one that it does not. Their device is the
    one that the engine is built for and compared on.
    MismatchError where the layers did not obtain the precision. AgreementError, which names the first layer that is
    off, where the engine computes something else than `onnx` says, or labels otherwise than `reference`.
    """
    chosen = open_engine(engine) if isinstance(engine, str) else engine
    source = load_onnx(onnx)
    precision = precision or source.precision
    chosen.check_precision(precision)
    check_source(source, chosen, precision, force=force)
    chosen.available()
    filename = engine_filename(name or source.spec.name, chosen.name, precision, chosen.extension)
    if not overwrite:
        check_replaceable(out_dir / filename, source.provenance)
    images = frames if isinstance(frames, CheckImages) or frames is None else CheckImages(frames)
    with tempfile.TemporaryDirectory(prefix=".edgeseg-", dir=writable_folder(out_dir)) as folder:
        built = chosen.build(source, Path(folder) / filename, precision, options=options, progress=progress)
        share = 0.0 if chosen.simulates else chosen.obtained_share
        check_layers(built.layers, precision, name=filename, share=share)
        device = (options or BuildOptions()).device
        found = agreement_of(chosen, built, source, float_onnx(source, reference), images, device=device, force=force)
        return moved(dataclasses.replace(built, agreement=found), out_dir / filename)


def check_replaceable(path: Path, provenance: Provenance) -> None:
    """FileProblem where the engine or ONNX at `path` was made from other weights than those of `provenance`."""
    if not path.exists():
        return
    try:
        there = Artifact.open(path)
    except EdgeSegError:  # damaged: nothing is lost
        return
    if provenance.identity and there.provenance.identity not in ("", provenance.identity):
        weights = there.provenance.weights or there.provenance.source or "other weights"
        raise not_replaced(path, f"was made from other weights ({weights})")


def not_replaced(path: Path, reason: str) -> FileProblem:
    """The error that keeps the file at `path`."""
    return FileProblem(
        f"{path} {reason}, and would be replaced",
        hint="name another folder with -o or another name with --name, or add --overwrite",
        code="ES-FILE-EXISTS",
    )


def check_source(source: LoadedModel, engine: Engine, precision: Precision, *, force: bool = False) -> None:
    """MismatchError unless `source` is an ONNX from which `engine` can be built at `precision`.

    force: whatever engine it was quantised for.
    """
    quantise = f"edgeseg quantize the fp32 ONNX with --target {engine.name}"
    if source.precision is not SOURCE[precision]:
        hint = quantise
        if precision is not Precision.INT8:
            hint = f"name the {SOURCE[precision]} ONNX, or build {source.precision}"
        raise MismatchError(f"{source.path.name} is {source.precision}, and {precision} was asked for", hint=hint)
    target = source.provenance.target or engine.name
    if source.precision is Precision.INT8 and target not in engine.targets and not force:
        message = f"{source.path.name} was quantised for {target}, not for {engine.name}"
        raise MismatchError(message, hint=quantise)


def check_layers(layers: Iterable[Layer], precision: Precision, *, name: str, share: float) -> None:
    """MismatchError where too few layers that ask for `precision` obtained it: a silent float engine.

    A layer that the runtime fused away has no obtained precision. It is warned of, unless none is left to judge by.
    """
    asking = [layer for layer in layers if layer.requested == precision]
    if not asking:
        raise MismatchError(f"no layer of {name} asks for {precision}", hint="quantise the float ONNX again")
    found = [layer for layer in asking if layer.obtained]
    lost = [layer for layer in found if layer.obtained != precision]
    if len(lost) > len(found) * (1 - share) or (share and not found):
        named = ", ".join(f"{layer.name} ({layer.obtained or 'not found'})" for layer in (lost or asking)[:3])
        message = f"{len(lost or asking)} of {len(asking)} layers of {name} did not obtain {precision}: {named}"
        raise MismatchError(message, hint="build fp32, or quantise the ONNX for this engine with edgeseg quantize")
    if missing := [layer.name for layer in asking if not layer.obtained]:
        message = (
            "%s: %d of %d layers that ask for %s are in no layer of their own, and their precision is not known: %s"
        )
        logger.warning(message, name, len(missing), len(asking), precision, ", ".join(missing))


def float_onnx(source: LoadedModel, reference: Onnx | None) -> LoadedModel | None:
    """What the labels are held against."""
    if reference is not None:
        return load_onnx(reference)
    return source if source.precision is Precision.FP32 else None


def moved(artifact: Artifact, path: Path) -> Artifact:
    """`artifact`'s file at `path`, with a new sidecar beside it."""
    artifact = dataclasses.replace(artifact, path=artifact.path.replace(path))
    artifact.write_sidecar()
    return artifact
