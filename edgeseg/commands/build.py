"""`edgeseg build`: an ONNX to an engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands import build_options as wish
from edgeseg.commands.options import (
    ENGINES_FOLDER,
    CheckFolder,
    Device,
    Engine,
    Folder,
    Json,
    Overwrite,
    PrecisionName,
    precision_from_text,
)

if TYPE_CHECKING:
    from edgeseg.engines.options import BuildOptions


def command(
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="From edgeseg export, or edgeseg quantize.")],
    engine: Engine = None,
    precision: PrecisionName = None,
    device: Device = "auto",
    reference: Annotated[
        Path | None, typer.Option("--reference", metavar="ONNX", help="The float ONNX that labels are held against.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Take an int8 ONNX of another target, and labels that agree less than they should."
        ),
    ] = False,
    images: CheckFolder = None,
    overwrite: Overwrite = False,
    batch: wish.Batch = None,
    workspace: wish.Workspace = None,
    level: wish.Level = None,
    dla: wish.Dla = None,
    timing_cache: wish.TimingCache = None,
    portable: wish.Portable = False,
    any_gpu: wish.AnyGpu = False,
    gpu: wish.Gpu = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the command of NVIDIA's that builds the same, and build nothing.")
    ] = False,
    output: Folder = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Compile ONNX for an engine, read back what precision each layer got, and hold its numbers against the ONNX."""
    from edgeseg.artifact import count_precisions, load_onnx
    from edgeseg.check_images import check_images
    from edgeseg.commands.terminal import agreement_cells, print_json, print_table, shown_progress, wrote
    from edgeseg.engines import default_engine
    from edgeseg.engines.agreement import warn_of_changed_labels, warn_of_noise
    from edgeseg.engines.build import engine_from_onnx

    engine = engine or default_engine(device=device)
    options = wish.build_options(batch, workspace, level, device, dla, timing_cache, portable, any_gpu, gpu)
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
            precision=precision_from_text(precision),
            out_dir=output,
            reference=reference,
            frames=frames,
            force=force,
            overwrite=overwrite,
            options=options,
            progress=progress,
        )
    warn_of_changed_labels(built)
    counts = count_precisions(built.layers)
    if as_json:
        print_json(
            {
                "engine": str(built.path),
                "precision": str(built.precision),
                "agreement": built.agreement.to_dict(),
                "layers": counts,
            }
        )
    else:
        layers = ", ".join(f"{count} {name}" for name, count in counts.items())
        print_table(
            ["engine", "precision", "layers obtained", "labels as float, %", "compared on"],
            [[built.engine, built.precision, layers, *agreement_cells(built.agreement)]],
        )
    elsewhere = not built.agreement.is_of_engine  # what is built here cannot run here
    page = f"edgeseg inspect {built.path} --html page.html"
    wrote(built.path, page if elsewhere else f"edgeseg bench {built.path}")


def dry_line(engine: str, onnx: Path, precision: str | None, options: BuildOptions, output: Path) -> str:
    """NVIDIA's own command, MismatchError where there is none. An ONNX that it needs instead is put into `output`."""
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
        BuildJob(source, output / onnx.name, precision_from_text(precision) or source.precision, options)
    )
