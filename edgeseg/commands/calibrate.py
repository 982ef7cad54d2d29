"""`edgeseg calibrate`: images to a range table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.commands.options import Json, Limit


def command(
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="A float ONNX from edgeseg export.")],
    images: Annotated[
        str, typer.Option("--images", metavar="DIR", help="Images like those of the camera, or a data set's URI.")
    ],
    limit: Limit = 100,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Selects the images where there are more than --limit.")
    ] = 0,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="The range table.")] = None,
    as_json: Json = False,
) -> None:
    """Run ONNX over images and write the range of every tensor: one table for every size, head and runtime.

    An interrupted calibration resumes when the same command is run again.
    """
    from edgeseg.artifact import artifact_from_onnx
    from edgeseg.calib.calibrate import ranges_from_images
    from edgeseg.calib.images import images_from
    from edgeseg.commands.terminal import note, print_json, print_table, shown_progress, wrote
    from edgeseg.files import writable_folder
    from edgeseg.measure.diagnostic import Diagnostic

    path = output or onnx.with_name(f"{onnx.stem}.ranges.json")
    partial = writable_folder(path.parent) / f"{path.name}.partial"
    warnings: list[Diagnostic] = []
    try:
        with shown_progress() as progress:
            table = ranges_from_images(
                onnx,
                images_from(images, artifact_from_onnx(onnx).spec, limit, seed),
                progress=progress,
                warn=warnings.append,
                partial=partial,
            )
    except KeyboardInterrupt:
        if partial.exists():
            note(f"interrupted; the same command resumes from {partial}")
        raise
    table.write(path)
    partial.unlink(missing_ok=True)
    for warning in warnings:
        note(f"warning: {warning.message} ({warning.hint})")
    if as_json:
        print_json(
            {
                "ranges": str(path),
                "images": table.images,
                "images_sha256": table.images_sha256,
                "tensors": len(table.tensors),
                "warnings": [warning.to_dict() for warning in warnings],
            }
        )
    else:
        print_table(["model", "images", "tensors"], [[table.model, table.images, len(table.tensors)]])
    wrote(path, f"edgeseg quantize {onnx} --ranges {path}")
