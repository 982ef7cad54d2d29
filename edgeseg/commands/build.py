"""`edgeseg build`: an ONNX to an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.commands.options import ENGINES_FOLDER, Engine, Folder, Json, PrecisionName, precision_from_text


def command(
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="From edgeseg export, or edgeseg quantize.")],
    engine: Engine = None,
    precision: PrecisionName = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", metavar="ONNX", help="The float ONNX that labels are held against.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Take an int8 ONNX of another target; it still has to agree.")
    ] = False,
    output: Folder = ENGINES_FOLDER,
    as_json: Json = False,
) -> None:
    """Compile ONNX for an engine, read back what precision each layer got, and hold its numbers against the ONNX."""
    import numpy as np

    from edgeseg.artifact import artifact_from_onnx, count_precisions
    from edgeseg.commands.terminal import print_json, print_table, wrote
    from edgeseg.conversion import check_frames
    from edgeseg.engines import default_engine
    from edgeseg.engines.build import engine_from_onnx

    frames = np.stack(check_frames(artifact_from_onnx(onnx).spec, None))
    built = engine_from_onnx(
        onnx,
        engine or default_engine(),
        precision=precision_from_text(precision),
        out_dir=output,
        reference=reference,
        frames=frames,
        force=force,
    )
    counts = count_precisions(built.layers)
    if as_json:
        print_json(
            {
                "engine": str(built.path),
                "precision": str(built.precision),
                "agreement": built.agreement,
                "layers": counts,
            }
        )
    else:
        layers = ", ".join(f"{count} {name}" for name, count in counts.items())
        print_table(
            ["engine", "precision", "layers obtained", "labels as float"],
            [[built.engine, built.precision, layers, built.agreement.get("labels", "-")]],
        )
    wrote(built.path, f"edgeseg bench {built.path}")
