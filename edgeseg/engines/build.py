"""Build an engine from an ONNX, and check its precision and its labels; if a check fails, no file is left."""

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

# The precision of the ONNX for an engine of each precision: engines only compile (bf16 is a hint to the runtime).
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
    reference: the float ONNX whose labels the engine must give; the ONNX itself if that is float.
    frames: a few, (N, H, W, 3) uint8 at the input size; without frames nothing is compared.
    force: accept an int8 ONNX that was quantised for another engine, and fewer equal labels.
    overwrite: replace an engine that was made from other weights; otherwise that is a FileProblem (ES-FILE-EXISTS).
    options: further options; MismatchError for one that the engine does not have. Their device is the one that the
    engine is built for and compared on.
    MismatchError if layers did not obtain the precision. AgreementError, which names the first wrong layer, if the
    engine computes something else than `onnx`, or does not label as `reference` does.
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
        float_model = float_onnx(source, reference)
        agreement = agreement_of(chosen, built, source, float_model, images, device=device, force=force)
        path = out_dir / filename
        artifact = dataclasses.replace(built, agreement=agreement, path=built.path.replace(path))
        artifact.write_sidecar()
        return artifact


def check_replaceable(path: Path, provenance: Provenance) -> None:
    """FileProblem if the engine or ONNX at `path` was made from other weights than those of `provenance`."""
    if not path.exists():
        return
    try:
        existing = Artifact.open(path)
    except EdgeSegError:  # a damaged file may be replaced
        return
    if provenance.identity and existing.provenance.identity not in ("", provenance.identity):
        weights = existing.provenance.weights or existing.provenance.source or "other weights"
        raise overwrite_error(path, f"was made from other weights ({weights})")


def overwrite_error(path: Path, reason: str) -> FileProblem:
    """The error if the file at `path` would be replaced. reason: a clause, such as "was made from other weights"."""
    return FileProblem(
        f"{path} would be replaced, and {reason}",
        hint="use another folder (-o) or name (--name), or add --overwrite",
        code="ES-FILE-EXISTS",
    )


def check_source(source: LoadedModel, engine: Engine, precision: Precision, *, force: bool = False) -> None:
    """MismatchError unless `engine` can be built from `source` at `precision`. force: accept another target."""
    quantise = f"edgeseg quantize FP32.onnx --target {engine.name}"
    if source.precision is not SOURCE[precision]:
        hint = quantise
        if precision is not Precision.INT8:
            hint = f"give the {SOURCE[precision]} ONNX, or use --precision {source.precision}"
        message = f"{source.path.name} is {source.precision}; {precision} was requested"
        raise MismatchError(message, hint=hint, code="ES-MISMATCH-PRECISION")
    target = source.provenance.target or engine.name
    if source.precision is Precision.INT8 and target not in engine.targets and not force:
        message = f"{source.path.name} was quantised for {target}, not for {engine.name}"
        raise MismatchError(message, hint=quantise, code="ES-MISMATCH-TARGET")


def check_layers(layers: Iterable[Layer], precision: Precision, *, name: str, share: float) -> None:
    """MismatchError if too few layers that request `precision` obtained it. share: how many must, 0 to 1.

    A layer that the runtime fused into another has no obtained precision: that is logged, or an error if all are.
    """
    code = "ES-MISMATCH-PRECISION"
    requesting = [layer for layer in layers if layer.requested == precision]
    if not requesting:
        raise MismatchError(f"no layer of {name} requests {precision}", hint="quantise the float ONNX again", code=code)
    known = [layer for layer in requesting if layer.obtained]
    failed = [layer for layer in known if layer.obtained != precision]
    if len(failed) > len(known) * (1 - share) or (share and not known):
        failed = failed or requesting
        names = ", ".join(f"{layer.name} ({layer.obtained or 'unknown'})" for layer in failed[:3])
        message = f"{len(failed)} of {len(requesting)} layers of {name} did not obtain {precision}: {names}"
        raise MismatchError(
            message, hint="build fp32, or quantise the ONNX for this engine: edgeseg quantize", code=code
        )
    if fused := [layer.name for layer in requesting if not layer.obtained]:
        message = "%s: the precision of %d of %d layers that request %s is unknown, since they were fused: %s"
        logger.warning(message, name, len(fused), len(requesting), precision, ", ".join(fused))


def float_onnx(source: LoadedModel, reference: Onnx | None) -> LoadedModel | None:
    """The model whose labels the engine must give; None if there is none."""
    if reference is not None:
        return load_onnx(reference)
    return source if source.precision is Precision.FP32 else None
