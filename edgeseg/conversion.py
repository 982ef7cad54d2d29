"""The straight line in one call: weights -> ONNX -> ranges -> quantised ONNX -> engine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgeseg.artifact import Artifact, artifact_from_onnx, model_stem, sidecar_path
from edgeseg.calib.calibrate import ranges_from_images
from edgeseg.calib.doubts import log_caveat
from edgeseg.calib.half import fp16_from_ranges
from edgeseg.calib.images import images_from
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.decide.budget import Budget
from edgeseg.decide.decide import Decision, Question, check_decidable, decide, kept
from edgeseg.decide.pictures import Panel, panel_from_options
from edgeseg.decide.plot import draw_pareto
from edgeseg.engines import default_engine, open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.options import BuildOptions, RunOptions
from edgeseg.errors import FormatError, MismatchError
from edgeseg.export.statistics import Statistics
from edgeseg.files import existing_file, writable_folder
from edgeseg.measure.device import has_native_bf16
from edgeseg.progress import Progress, silent
from edgeseg.recipe import bundled_ranges
from edgeseg.spec import ModelSpec, Output, Precision
from edgeseg.street import StreetCamera
from edgeseg.weights import BUNDLED, weights_path

if TYPE_CHECKING:
    from edgeseg.export.parity import Parity

CHECK_FRAMES = 4
Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Conversion:
    """What `convert` made.

    onnx: the float graph, beside the engine. export: how that compares with its torch module; None for an ONNX that
    was there already. ranges: the table that int8 rests on, if any. decision, plot: where the precision was decided.
    """

    engine: Artifact
    onnx: Artifact
    export: Parity | None
    ranges: Path | None
    decision: Decision | None = None
    plot: Path | None = None


@dataclass(frozen=True)
class Auto:
    """In place of a precision: the fastest one within a budget, measured here.

    data: a data set's URI with labels to judge on; without it the engines' agreement with the float one decides.
    """

    budget: Budget = field(default_factory=Budget)
    data: str | None = None


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
    labels: Path | None = None,
    statistics: Statistics | None = None,
    options: BuildOptions | None = None,
    out: Path = Path("engines"),
    progress: Progress = silent,
) -> Conversion:
    """Convert `model`, a bundled name, weights, a checkpoint or an ONNX that carries a spec, to an engine in `out`.

    engine: the first that this machine can run unless given. precision: int8 where there are ranges, else the
    fastest float that the engine and this machine have; `Auto` measures which. images: a folder, or a data set's URI,
    to calibrate on, of which `limit` are chosen; without it the committed table of a bundled model is used, or the
    table at `ranges`. size: (width, height). labels, statistics: names of a checkpoint's classes, and its input's
    mean, std and colour order. options: of the engine's own builder. Nothing is left behind where a step fails.
    """
    engine = engine or default_engine()
    open_engine(engine).available()
    options = options or BuildOptions()
    options.check(open_engine(engine).options, engine)
    open_engine(engine).device_to_build_for(options.device)
    auto = precision if isinstance(precision, Auto) else None
    precision = None if isinstance(precision, Auto) else precision
    if auto is not None:
        check_decidable(engine)
    elif precision is not None:
        open_engine(engine).check_precision(precision)
    table_path = None if images else (ranges or (bundled_ranges(str(model)) if model in BUNDLED else None))
    with scratch_in(out) as scratch:
        progress("export", 0, None)
        onnx, parity = float_onnx(
            model, scratch, size=size, output=output, images=images, labels=labels, statistics=statistics
        )
        name = onnx.path.stem
        panel = panel_from_options(onnx.spec, auto.data, images, limit) if auto else None
        if images:
            table: RangeTable | None = calibrated(onnx, images, limit, out / f"{name}.ranges.json.partial", progress)
        else:
            table = RangeTable.open(table_path) if table_path else None
        decision = None
        if auto is not None and panel is not None:
            run = RunOptions(options.device)
            decision = decide(question_from_panel(onnx, table, engine, panel, auto, run), scratch, progress=progress)
            built = kept(decision, out, name)
        else:
            precision = precision or chosen_precision(engine, calibrated=table is not None, device=options.device)
            source = onnx_of_precision(precision, onnx, table, engine, scratch, progress)
            progress("build", 0, None)
            built = engine_from_onnx(
                source.path,
                engine,
                precision=precision,
                out_dir=out,
                name=name,
                reference=onnx.path,
                frames=np.stack(check_frames(onnx.spec, images)),
                options=options,
                progress=progress,
            )
            if built.build and source is not onnx:  # a plan can be made again from it, on another device
                source.path.replace(out / source.path.name)
        kept_onnx = onnx.path.replace(out / onnx.path.name)
        if images and table is not None:
            table_path = table.write(out / f"{name}.ranges.json")
    used = table_path if built.precision is Precision.INT8 else None
    return Conversion(built, artifact_from_onnx(kept_onnx), parity, used, decision, plot_beside(built.path, decision))


def question_from_panel(
    onnx: Artifact, table: RangeTable | None, engine: str, panel: Panel, auto: Auto, run: RunOptions
) -> Question:
    """What `decide` is asked."""
    table = table if Precision.INT8 in open_engine(engine).precisions else None
    return Question(onnx, table, engine, panel, auto.budget, run)


def plot_beside(engine: Path, decision: Decision | None) -> Path | None:
    """The plot of the decision, beside the engine; None where there is no decision, or no matplotlib."""
    path = engine.with_suffix(".pareto.png")
    return path if decision is not None and draw_pareto(path, decision) else None


def calibrated(onnx: Artifact, images: str | Path, limit: int, partial: Path | None, progress: Progress) -> RangeTable:
    """The range table over `limit` of the images. An interrupted one goes on from `partial` the next time."""
    chosen = images_from(images, onnx.spec, limit)
    table = ranges_from_images(
        onnx.path, chosen, progress=lambda done: progress("calibrate", done, len(chosen)), partial=partial
    )
    if partial is not None:
        partial.unlink(missing_ok=True)
    for caveat in chosen.caveats():
        log_caveat(caveat)
    return table


def onnx_of_precision(
    precision: Precision, onnx: Artifact, table: RangeTable | None, engine: str, folder: Path, progress: Progress
) -> Artifact:
    """What an engine of `precision` is compiled from: the float ONNX, or one of its own types in `folder`."""
    if precision is Precision.INT8:
        return int8_onnx(onnx, table, engine, folder, progress)
    if precision is Precision.FP16:
        return fp16_from_ranges(onnx.path, table, out=folder / f"{onnx.path.stem}.fp16.onnx")
    return onnx


def int8_onnx(onnx: Artifact, table: RangeTable | None, engine: str, folder: Path, progress: Progress) -> Artifact:
    """The float ONNX quantised for `engine`. MismatchError where there are no ranges."""
    name = onnx.path.stem
    if table is None:
        raise MismatchError(
            f"int8 needs ranges, and there is no table for {name}", hint="calibrate: add --images FOLDER"
        )
    progress("quantize", 0, None)
    return int8_from_ranges(onnx.path, table, target=engine, out=folder / f"{name}.int8.onnx")


@contextlib.contextmanager
def scratch_in(out: Path) -> Iterator[Path]:
    """A passing folder in `out`, which is made where it is missing, and is gone again where nothing came of it."""
    missing = not out.exists()
    writable_folder(out)
    try:
        with tempfile.TemporaryDirectory(prefix=".edgeseg-", dir=out) as folder:
            yield Path(folder)
    finally:
        if missing and not any(out.iterdir()):
            out.rmdir()


def float_onnx(
    model: str | Path,
    folder: Path,
    *,
    size: tuple[int, int] | None = None,
    output: Output = Output.LOGITS,
    images: str | Path | None = None,
    labels: Path | None = None,
    statistics: Statistics | None = None,
) -> tuple[Artifact, Parity | None]:
    """The float ONNX of `model` in `folder`, and its parity on frames of `images`; an ONNX is copied there.

    labels: a text file with the names of a checkpoint's classes. statistics: of a checkpoint's input.
    """
    if Path(model).suffix == ".onnx":
        if statistics not in (None, Statistics()):
            raise MismatchError(f"{Path(model).name} states its input itself", hint="leave --mean, --std, --color out")
        if labels is not None:
            raise MismatchError(f"{Path(model).name} names its classes itself", hint="leave --labels out")
        return copied_onnx(existing_file(model), folder, size), None
    from edgeseg.export import check_exporter

    weights_path(model)
    check_exporter()
    from edgeseg.export.model import export_model, source_from_model  # torch, which a device need not have

    source = source_from_model(model, size, labels, statistics)
    path = folder / f"{model_stem(source.spec.name, size, output)}.onnx"
    return export_model(source, path, frames=check_frames(source.spec, images), output=output)


def copied_onnx(path: Path, folder: Path, size: tuple[int, int] | None) -> Artifact:
    """The float ONNX at `path`, copied. An engine, or another size than its own, is refused."""
    artifact = artifact_from_onnx(path)
    if artifact.precision is not Precision.FP32 or sidecar_path(path).exists():
        hint = "name the model or the float ONNX that it was built from"
        raise FormatError(f"{path.name} is an engine, which cannot be converted again", hint=hint)
    own = (artifact.spec.input.width, artifact.spec.input.height)
    if size and size != own:
        raise MismatchError(
            f"{path.name} was exported at {own[0]}x{own[1]}", hint="export it again with edgeseg export --size"
        )
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    return artifact_from_onnx(copy)


def chosen_precision(engine: str, *, calibrated: bool, device: str = "auto") -> Precision:
    """int8 where there are ranges, else fp16 or bf16 where engine and device have it, else fp32."""
    made = open_engine(engine).precisions
    if calibrated and Precision.INT8 in made:
        return Precision.INT8
    if Precision.FP16 in made:
        return Precision.FP16
    bf16 = Precision.BF16 in made and has_native_bf16() and open_engine(engine).is_on_cpu(device)
    return Precision.BF16 if bf16 else Precision.FP32


def check_frames(spec: ModelSpec, images: str | Path | None) -> Sequence[Rgb]:
    """A few frames at the input's size on which labels are compared: of `images`, or of the street camera."""
    if images is not None:
        return list(images_from(images, spec, CHECK_FRAMES))
    size = {"width": spec.input.width, "height": spec.input.height}
    return [StreetCamera(seed=seed, **size).render(0)[0] for seed in range(CHECK_FRAMES)]
