"""`edgeseg build`: an ONNX to an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands import build_options as build_flags
from edgeseg.commands.options import (
    ENGINES_FOLDER,
    INPUT,
    PRECISION,
    CheckFolder,
    Device,
    Engine,
    Folder,
    Json,
    Overwrite,
    engine_facts,
    option,
    precision_or_none,
)

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact
    from edgeseg.engines.options import BuildOptions

EXAMPLES = """
  edgeseg build model.onnx --engine openvino
  edgeseg build int8.onnx --engine tensorrt --reference model.onnx
"""


def command(
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="From edgeseg export or edgeseg quantize.")],
    engine: Engine = None,
    precision: Annotated[
        str | None, option("--precision NAME", "fp32, fp16, bf16 or int8.", PRECISION, "that of ONNX")
    ] = None,
    device: Device = "auto",
    reference: Annotated[
        Path | None, option("--reference ONNX", "The float ONNX to compare labels with.", INPUT, "ONNX")
    ] = None,
    force: Annotated[
        bool, option("--force", "Accept an int8 ONNX of another target, and labels that differ too often.", PRECISION)
    ] = False,
    images: CheckFolder = None,
    overwrite: Overwrite = False,
    batch: build_flags.Batch = None,
    workspace: build_flags.Workspace = None,
    level: build_flags.Level = None,
    dla: build_flags.Dla = None,
    timing_cache: build_flags.TimingCache = None,
    portable: build_flags.Portable = False,
    any_gpu: build_flags.AnyGpu = False,
    gpu: build_flags.Gpu = None,
    dry_run: Annotated[
        bool,
        option(
            "--dry-run", "Print the trtexec command that builds the same engine, and build nothing.", build_flags.PANEL
        ),
    ] = False,
    output: Folder = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Compile an ONNX to an engine.

    The command reads back which precision each layer got, and compares the engine's results with those of the ONNX.
    """
    from edgeseg.artifact import load_onnx
    from edgeseg.check_images import check_images
    from edgeseg.commands.terminal import shown_progress
    from edgeseg.engines import default_engine
    from edgeseg.engines.agreement import warn_of_changed_labels, warn_of_noise
    from edgeseg.engines.build import engine_from_onnx

    engine = engine or default_engine(device=device)
    options = build_flags.build_options(batch, workspace, level, device, dla, timing_cache, portable, any_gpu, gpu)
    if dry_run:
        print(dry_line(engine, onnx, precision, options, output))
        return
    source = load_onnx(onnx)
    frames = check_images(source.spec, images)
    warn_of_noise(frames)
    with shown_progress() as progress:
        built = engine_from_onnx(
            source,
            engine,
            precision=precision_or_none(precision),
            out_dir=output,
            reference=reference,
            frames=frames,
            force=force,
            overwrite=overwrite,
            options=options,
            progress=progress,
        )
    warn_of_changed_labels(built)
    print_build(built, device, as_json)


def print_build(built: Artifact, device: str, as_json: bool) -> None:
    """Print the engine that was built, and the next command."""
    from edgeseg.artifact import count_precisions
    from edgeseg.commands.terminal import agreement_cells, print_json, print_table, wrote

    counts = count_precisions(built.layers)
    if as_json:
        print_json({**engine_facts(built, device), "agreement": built.agreement.to_dict(), "layers": counts})
    else:
        layers = ", ".join(f"{count} {name}" for name, count in counts.items())
        print_table(
            ["engine", "precision", "layers", "labels as fp32, %", "compared on"],
            [[built.engine, built.precision, layers, *agreement_cells(built.agreement)]],
        )
    runs_here = built.agreement.is_of_engine
    page = f"edgeseg inspect {built.path} --html page.html"
    wrote(built.path, f"edgeseg bench {built.path}" if runs_here else page)


def dry_line(engine: str, onnx: Path, precision: str | None, options: BuildOptions, output: Path) -> str:
    """The trtexec command. MismatchError for an engine without one. An ONNX that it needs is written to `output`."""
    from edgeseg.artifact import load_onnx
    from edgeseg.engines import open_engine
    from edgeseg.engines.engine import BuildJob
    from edgeseg.errors import MismatchError

    chosen, source = open_engine(engine), load_onnx(onnx)
    if chosen.dry_run is None:
        message = f"--dry-run prints a trtexec command, and {engine} has none"
        raise MismatchError(message, hint="--engine tensorrt", code="ES-MISMATCH-OPTIONS")
    options.check(chosen.options, engine)
    return chosen.dry_run(
        BuildJob(source, output / onnx.name, precision_or_none(precision) or source.precision, options)
    )
