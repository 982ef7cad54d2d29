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
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="The range table.")] = None,
    as_json: Json = False,
) -> None:
    """Run ONNX over images and keep what every tensor held: one range table for every size, head and runtime."""
    from edgeseg.artifact import artifact_from_onnx
    from edgeseg.calib.calibrate import ranges_from_images
    from edgeseg.calib.images import images_from
    from edgeseg.commands.terminal import print_json, print_table, shown_progress, wrote

    spec = artifact_from_onnx(onnx).spec
    with shown_progress() as progress:
        chosen = images_from(images, spec, limit)
        table = ranges_from_images(onnx, chosen, progress=lambda done: progress("calibrate", done, limit))
    path = table.write(output or onnx.with_name(f"{onnx.stem}.ranges.json"))
    if as_json:
        print_json({"ranges": str(path), "images": table.images, "tensors": len(table.tensors)})
    else:
        print_table(["model", "images", "tensors"], [[table.model, table.images, len(table.tensors)]])
    wrote(path, f"edgeseg quantize {onnx} --ranges {path}")
