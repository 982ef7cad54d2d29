"""Open MODEL: an engine or an ONNX directly, weights through a conversion that is done once."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Callable
from pathlib import Path

from edgeseg.artifact import Artifact, engine_filename, model_stem, sidecar_path
from edgeseg.conversion import convert
from edgeseg.engines import default_engine, open_engine
from edgeseg.engines.devices import AUTO
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions
from edgeseg.engines.triton.address import is_address
from edgeseg.errors import EdgeSegError, FileProblem, MismatchError
from edgeseg.files import existing_file, exists, sha256_from_file
from edgeseg.measure.device import cpu_name, package_versions
from edgeseg.overwriting import check_names_free
from edgeseg.predictions.crf import DenseCrf
from edgeseg.progress import Progress, silent
from edgeseg.provenance import Provenance
from edgeseg.segmenter import Segmenter, open_segmenter
from edgeseg.spec import Precision, Tiles
from edgeseg.uri import redacted
from edgeseg.weights import is_model, weights_path
from edgeseg.weights.checkpoint import model_name


def open_model(
    model: str | Path,
    *,
    engine: str | None = None,
    precision: Precision | None = None,
    size: tuple[int, int] | None = None,
    out: Path = Path("engines"),
    device: str = AUTO,
    threads: int | None = None,
    tiles: Tiles | str | None = None,
    crf: DenseCrf | str | None = None,
    progress: Progress = silent,
    on_convert: Callable[[], None] = lambda: None,
) -> Segmenter:
    """Open MODEL: an engine or an ONNX directly; a bundled name or weights are converted first, once.

    engine: the runtime; for a plain ONNX the one that opens it. precision: measured where it is not given and something
    is converted. size: (width, height) of the input. out: where a conversion leaves its files. device: one that the
    engine lists here (edgeseg doctor); "auto" is the first of them. threads: of the engine on a CPU; all unless given.
    tiles: how frames larger than the input are cut: "hann" or "centre", or `Tiles` with an overlap; "off" to resize
    them; None for what the file says. crf: a dense CRF refines the labels, as for `edgeseg.open`.
    on_convert: called before a model is converted, which can take minutes.
    MismatchError where a file is not of the engine, precision or size that is asked for.
    A model on a server is named by its address, "triton://HOST:8001/MODEL", as `model` or, without one, as `engine`.
    """
    if is_address(model) or is_address(engine):
        address = remote_address(model, engine, precision, size)
        return open_segmenter(address, device=device, threads=threads, tiles=tiles, crf=crf)
    if not is_model(model) or exists(sidecar_path(Path(model))):
        path = existing_file(model)
        check_file_matches(path, engine, precision, size, device)
        return open_segmenter(path, engine=engine, device=device, threads=threads, tiles=tiles, crf=crf)
    name = free_name(model, size, out)
    built = existing_engine(model, engine, precision, size, out, name, device, threads)
    if built is None:
        on_convert()
        options = BuildOptions(device=device)
        built = convert(
            model,
            engine=engine,
            precision=precision,
            size=size,
            options=options,
            threads=threads,
            out=out,
            name=name,
            progress=progress,
        ).engine
    return open_segmenter(built.path, device=device, threads=threads, tiles=tiles, crf=crf)


def remote_address(
    model: str | Path, engine: str | None, precision: Precision | None, size: tuple[int, int] | None
) -> str:
    """The address of a model on a server, of MODEL or --engine. MismatchError where more than that is asked for."""
    address = str(model if is_address(model) else engine)
    is_clash = str(model) not in ("", engine) if is_address(engine) else engine not in (None, "triton")
    if is_clash:
        message = f"{redacted(address)} is a model and its engine in one"
        raise MismatchError(message, hint="leave out MODEL or --engine", code="ES-MISMATCH-OPTIONS")
    if precision is not None or size is not None:
        message = f"the server has {redacted(address)} in one precision and size"
        raise MismatchError(message, hint="leave out --precision and --size", code="ES-MISMATCH-OPTIONS")
    return address


def check_file_matches(
    path: Path,
    engine: str | None,
    precision: Precision | None,
    size: tuple[int, int] | None,
    device: str = AUTO,
) -> None:
    """MismatchError unless the engine or ONNX at `path`, which is not converted, is what is asked for."""
    if (engine, precision, size) == (None, None, None):
        return
    artifact = Artifact.open(path)
    if engine is not None and not artifact.engine and open_engine(engine).extension != "onnx":
        command = "convert" if artifact.precision is Precision.FP32 else "build"
        raise MismatchError(
            f"{path.name} is a plain ONNX, which the engine {engine} cannot open",
            hint=f"build an engine from it: edgeseg {command} {path} --engine {engine}",
            code="ES-MISMATCH-ENGINE",
        )
    own = artifact.spec.input
    own_engine = artifact.engine or engine or default_engine(for_onnx=True, device=device)
    actual = {"engine": own_engine, "precision": str(artifact.precision), "size": f"{own.width}x{own.height}"}
    requested = {"engine": engine, "precision": precision and str(precision), "size": size and f"{size[0]}x{size[1]}"}
    for option, value in requested.items():
        if value not in (None, actual[option]):
            raise MismatchError(
                f"{path.name} has {option} {actual[option]}, not {value}",
                hint=f"convert the model or its float ONNX: edgeseg convert MODEL --{option} {value}",
                code="ES-MISMATCH-ENGINE",
            )


def existing_engine(
    model: str | Path,
    engine: str | None,
    precision: Precision | None,
    size: tuple[int, int] | None,
    out: Path,
    name: str | None = None,
    device: str = AUTO,
    threads: int | None = None,
) -> Artifact | None:
    """The engine that an earlier conversion of these very weights left in `out`, built by these very versions.

    Without a precision it is one whose precision was chosen and not named, for `device` and as many `threads`, here or
    on a processor like this. name: of the file, that of the model unless given.
    """
    weights, chosen = weights_path(model), open_engine(engine or default_engine(device=device))
    wanted = (chosen.device_to_build_for(device), cpu_name())
    digest, versions = sha256_from_file(weights), current_versions(chosen)
    name = name or model_stem(model_name(weights), size)
    kinds = str(precision) if precision else "*"
    files = out.glob(engine_filename(glob.escape(name), chosen.name, kinds, chosen.extension))
    for path in sorted(files, key=lambda file: -file.stat().st_mtime_ns):
        artifact = opened_quietly(path)
        if artifact is None or (artifact.provenance.weights_sha256, artifact.versions) != (digest, versions):
            continue
        decision = artifact.decision
        here = (decision.get("device"), artifact.device.get("cpu")) == wanted
        same_threads = not chosen.is_on_cpu(device) or decision.get("threads", threads) == threads  # if it was timed
        if precision is not None or (decision and here and same_threads):
            return artifact
    return None


def opened_quietly(path: Path) -> Artifact | None:
    """The engine at `path`; None where it has no sidecar, or is damaged."""
    if not sidecar_path(path).exists():
        return None
    with contextlib.suppress(EdgeSegError):
        return Artifact.open(path)
    return None


def free_name(model: str | Path, size: tuple[int, int] | None, out: Path) -> str | None:
    """The name of the model's files in `out` where those of other weights have the usual one; None where none has."""
    weights = weights_path(model)
    name, digest = model_stem(model_name(weights), size), sha256_from_file(weights)
    try:
        check_names_free(name, Provenance(weights_sha256=digest), out)
    except FileProblem:
        return f"{name}-{digest[:8]}"
    return None


def current_versions(engine: Engine) -> dict[str, str]:
    """The versions that a build of today would note in its sidecar."""
    return package_versions(("edgeseg", *engine.packages))
