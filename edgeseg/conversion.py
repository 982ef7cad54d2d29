"""Convert a model in one call: weights -> ONNX -> ranges -> quantised ONNX -> engine."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.artifact import Artifact, LoadedModel, load_onnx, model_stem, sidecar_path, written_onnx
from edgeseg.autotune.autotune import Decision
from edgeseg.autotune.choice import Auto, BuildInputs, Choice, check_precision_possible, choose_engine
from edgeseg.autotune.plots import draw_pareto
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.images import images_from
from edgeseg.calib.range import RangeTable
from edgeseg.check_images import check_images
from edgeseg.engines import default_engine, open_engine, runnable_engines
from edgeseg.engines.agreement import warn_of_noise
from edgeseg.engines.engine import Engine
from edgeseg.engines.options import BuildOptions
from edgeseg.errors import FormatError, MismatchError
from edgeseg.export.statistics import Statistics
from edgeseg.files import existing_file, writable_folder
from edgeseg.overwriting import check_names_free, check_table_replaceable
from edgeseg.progress import Progress, silent
from edgeseg.recipe import bundled_ranges
from edgeseg.spec import Output, Precision, Tiles
from edgeseg.weights import weights_path

if TYPE_CHECKING:
    from edgeseg.export.parity import Parity

ALL_ENGINES = "auto"


@dataclass(frozen=True)
class Conversion:
    """The result of `convert`.

    onnx: the float graph, next to the engine. export: its comparison with the torch module; None where the model was an
    ONNX. ranges: the table of an int8 engine. decision, plot: where the precision was measured.
    """

    engine: Artifact
    onnx: LoadedModel
    export: Parity | None
    ranges: Path | None
    decision: Decision | None = None
    plot: Path | None = None

    @property
    def summary(self) -> str:
        """Why the engine has its precision, in one line; "" where the user named it."""
        return str(self.engine.decision.get("summary", ""))


@dataclass(frozen=True)
class ConversionRequest:
    """The arguments of `convert`, with the engines resolved."""

    model: str | Path
    engines: tuple[Engine, ...]
    precision: Precision | Auto
    images: str | Path | None
    ranges: Path | None
    limit: int
    options: BuildOptions
    threads: int | None
    force: bool

    @property
    def needs_ranges(self) -> bool:
        """Whether an engine that may be built depends on ranges."""
        if isinstance(self.precision, Precision):
            return self.precision in (Precision.INT8, Precision.FP16)
        return any(Precision.INT8 in engine.precisions and not engine.simulates for engine in self.engines)

    @property
    def calibrated_on(self) -> int:
        """The number of images that calibration uses."""
        return self.limit if self.images is not None and self.ranges is None and self.needs_ranges else 0

    @property
    def table_path(self) -> Path | None:
        """The file of an existing range table, where that is used."""
        if self.calibrated_on or not self.needs_ranges:
            return None
        return self.ranges or bundled_ranges(self.model)


def convert(
    model: str | Path,
    *,
    engine: str | None = None,
    precision: Precision | Auto | None = None,
    images: str | Path | None = None,
    ranges: Path | None = None,
    limit: int = 100,
    size: tuple[int, int] | None = None,
    output: Output = Output.LOGITS,
    tiles: Tiles | None = None,
    labels: Path | None = None,
    statistics: Statistics | None = None,
    options: BuildOptions | None = None,
    threads: int | None = None,
    out: Path = Path("engines"),
    name: str | None = None,
    force: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Conversion:
    """Convert `model` (a bundled name, weights, a checkpoint, or an ONNX with a spec) to an engine in `out`.

    engine: by default the first that runs on this machine and supports the device of `options`; "auto" for the fastest
    of those.
    precision: by default int8, if there are ranges and a short benchmark shows that it is faster and keeps the labels,
    otherwise the best float precision; `Auto` searches longer.
    images: a folder, glob or data set's URI; `limit` images are for calibration, others for checks. Without images the
    table `ranges`, or that of a bundled model, is used.
    size: (width, height). tiles: the engine says that frames larger than its input are cut into tiles, and how; the
    default leaves it as it is in an ONNX. labels, statistics: a checkpoint's class names, and its input's mean, std and
    colour order. options: of the engine's builder; checks and benchmarks use the same device, on a CPU with `threads`
    cores (all by default). name: of the files; by default that of the model. force: accept int8 whatever it loses.
    overwrite: replace an engine of other weights.
    AgreementError where an engine's labels differ too much from the model's. No file is left where a step fails.
    """
    precision = Auto(short=True) if precision is None else precision
    options = options or BuildOptions()
    engines = engines_named(engine, precision, options)
    request = ConversionRequest(model, engines, precision, images, ranges, limit, options, threads, force)
    check_request(request)
    with scratch_in(out) as scratch:
        progress("export", 0, None)
        onnx, parity = float_onnx(
            model, scratch, size=size, output=output, tiles=tiles, images=images, labels=labels, statistics=statistics,
            name=name,
        )  # fmt: skip
        if not overwrite:
            check_names_free(onnx.path.stem, onnx.provenance, out)
        table_file = out / f"{onnx.path.stem}.ranges.json"
        # a table next to an ONNX of the same weights belongs to them
        if request.calibrated_on and not overwrite and not (out / onnx.path.name).exists():
            check_table_replaceable(table_file, onnx)
        table = None
        if request.needs_ranges:
            partial = table_file.with_name(f"{table_file.name}.partial")
            table = range_table(
                model, onnx, ranges=ranges, images=images, limit=limit, partial=partial, progress=progress
            )
        choice = choose_engine(build_inputs(request, onnx, table, scratch), precision, progress)
        built = install(choice, out)
        onnx = onnx.at(onnx.path.replace(out / onnx.path.name))
        if request.calibrated_on and table is not None:
            table.write(table_file)
    used_table = (
        (table_file if request.calibrated_on else request.table_path) if built.precision is Precision.INT8 else None
    )
    plot = plot_next_to(built.path, choice.decision)
    return Conversion(built, onnx, parity, used_table, choice.decision, plot)


def engines_named(name: str | None, precision: Precision | Auto, options: BuildOptions) -> tuple[Engine, ...]:
    """The engine `name`; by default the first that runs on this machine, for "auto" all that support the options."""
    if name == ALL_ENGINES and (able := [each for each in runnable_engines() if supports(each, precision, options)]):
        return tuple(able)
    named = None if name == ALL_ENGINES else name
    return (open_engine(named or default_engine(device=options.device)),)


def supports(engine: Engine, precision: Precision | Auto, options: BuildOptions) -> bool:
    """Whether `engine` supports the precision, the device and the options."""
    has_precision = isinstance(precision, Auto) or precision in engine.precisions
    return (
        has_precision and engine.has_device(options.device) and {"device", *engine.options}.issuperset(options.asked())
    )


def check_request(request: ConversionRequest) -> None:
    """Refuse an impossible request before anything is built."""
    for engine in request.engines:
        engine.available()
        request.options.check(engine.options, engine.name)
        engine.device_to_build_for(request.options.device)
        check_precision_possible(engine, request.precision)


def build_inputs(
    request: ConversionRequest, onnx: LoadedModel, table: RangeTable | None, folder: Path
) -> list[BuildInputs]:
    """The inputs of each engine."""
    data = request.precision.data if isinstance(request.precision, Auto) else None
    images = check_images(onnx.spec, request.images or data, calibrated_on=request.calibrated_on)
    if isinstance(request.precision, Precision):  # a measured precision has the advice in its summary
        warn_of_noise(images)
    return [
        BuildInputs(
            onnx,
            table,
            engine,
            check=images,
            options=request.options,
            threads=request.threads,
            folder=folder,
            images=request.images,
            calibrated_on=request.calibrated_on,
            force=request.force,
        )
        for engine in request.engines
    ]


def range_table(
    model: str | Path,
    onnx: LoadedModel,
    *,
    ranges: Path | None = None,
    images: str | Path | None = None,
    limit: int = 100,
    partial: Path | None = None,
    progress: Progress = silent,
) -> RangeTable | None:
    """The ranges of `onnx`, the float ONNX of `model`: of the file `ranges`, else of `limit` of the `images`.

    Without both it is the table that comes with a bundled model; None where there is none. partial: as in
    `ranges_from_images`. MismatchError where the table is of another network.
    """
    if ranges is None and images is not None:
        table = ranges_from_images(onnx, images_from(images, onnx.spec, limit), progress=progress, partial=partial)
        if partial is not None:
            partial.unlink(missing_ok=True)
        return table
    path = ranges or bundled_ranges(model)
    if path is None:
        return None
    table = RangeTable.open(path)
    table.check(onnx.graph(), onnx.spec.name)
    return table


def install(choice: Choice, out: Path) -> Artifact:
    """Move the chosen engine to `out`, with its sidecar and the ONNX that a plan was compiled from."""
    built = choice.engine
    if built.build.onnx:  # to build the plan again on another device
        source = built.path.with_name(built.build.onnx)
        if source.exists():
            source.replace(out / source.name)
    engine = dataclasses.replace(built, path=built.path.replace(out / choice.filename))
    engine.write_sidecar()
    return engine


def plot_next_to(engine: Path, decision: Decision | None) -> Path | None:
    """The plot of a long search, next to the engine; None after a short one, or without matplotlib."""
    path = engine.with_suffix(".pareto.png")
    return path if decision is not None and decision.is_plotted and draw_pareto(path, decision) else None


@contextlib.contextmanager
def scratch_in(out: Path) -> Iterator[Path]:
    """A temporary folder in `out`, which is created if it is missing, and removed again if it stays empty."""
    created = not out.exists()
    writable_folder(out)
    try:
        with tempfile.TemporaryDirectory(prefix=".edgeseg-", dir=out) as folder:
            yield Path(folder)
    finally:
        if created and not any(out.iterdir()):
            out.rmdir()


def float_onnx(
    model: str | Path,
    folder: Path,
    *,
    size: tuple[int, int] | None = None,
    output: Output = Output.LOGITS,
    tiles: Tiles | None = None,
    images: str | Path | None = None,
    labels: Path | None = None,
    statistics: Statistics | None = None,
    name: str | None = None,
) -> tuple[LoadedModel, Parity | None]:
    """The float ONNX of `model` in `folder`, and its parity on frames of `images`; an ONNX is copied there.

    tiles: for the spec; None leaves those of an ONNX. labels: a text file with a checkpoint's class names. statistics:
    of a checkpoint's input. name: of the file, without suffix.
    """
    if Path(model).suffix == ".onnx":
        if statistics not in (None, Statistics()):
            raise MismatchError(
                f"{Path(model).name} contains its input statistics", hint="remove --mean, --std and --color"
            )
        if labels is not None:
            raise MismatchError(f"{Path(model).name} contains its class names", hint="remove --labels")
        return copied_onnx(existing_file(model), folder, size, name, tiles), None
    from edgeseg.export import check_exporter

    weights_path(model)
    check_exporter()
    from edgeseg.export.model import export_model, source_from_model  # imports torch, which a device may lack

    source = source_from_model(model, size, labels, statistics)
    source = dataclasses.replace(source, spec=source.spec.tiled(tiles)) if tiles else source
    stem = model_stem(source.spec.name, size, output, is_tiled=tiles is not None)
    path = folder / f"{name or stem}.onnx"
    artifact, parity = export_model(source, path, frames=list(check_images(source.spec, images).frames), output=output)
    return load_onnx(artifact.path), parity


def copied_onnx(
    path: Path, folder: Path, size: tuple[int, int] | None, name: str | None, tiles: Tiles | None = None
) -> LoadedModel:
    """Copy the float ONNX at `path` to `folder`. FormatError for an engine, MismatchError for another size.

    tiles: to write into its spec.
    """
    model = load_onnx(path)
    if model.precision is not Precision.FP32 or sidecar_path(path).exists():
        hint = "name the model or the float ONNX that it was built from"
        raise FormatError(f"{path.name} is an engine, which cannot be converted again", hint=hint)
    own = (model.spec.input.width, model.spec.input.height)
    if size and size != own:
        raise MismatchError(
            f"{path.name} was exported at {own[0]}x{own[1]}", hint="export it again with edgeseg export --size"
        )
    if tiles is not None:
        stem = model_stem(path.stem.removesuffix("-tiles"), None, is_tiled=True)
        artifact = dataclasses.replace(
            model.artifact, path=folder / f"{name or stem}.onnx", spec=model.spec.tiled(tiles)
        )
        return written_onnx(model.proto, artifact)  # which is read here, and nowhere else
    copy = folder / f"{name or path.stem}.onnx"
    copy.write_bytes(path.read_bytes())
    return model.at(copy)
