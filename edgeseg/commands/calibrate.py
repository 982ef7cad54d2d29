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
    seed: Annotated[int, typer.Option("--seed", min=0, help="Draws the images where there are more than that.")] = 0,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="The range table.")] = None,
    as_json: Json = False,
) -> None:
    """Run ONNX over images and keep what every tensor held: one range table for every size, head and runtime.

    What was cut short goes on when the same command is given again.
    """
    from edgeseg.artifact import artifact_from_onnx
    from edgeseg.calib.calibrate import ranges_from_images
    from edgeseg.calib.images import images_from
    from edgeseg.commands.terminal import note, print_json, print_table, shown_progress, wrote
    from edgeseg.files import writable_folder
    from edgeseg.measure.diagnostic import Diagnostic

    path = output or onnx.with_name(f"{onnx.stem}.ranges.json")
    chosen = images_from(images, artifact_from_onnx(onnx).spec, limit, seed)
    partial = writable_folder(path.parent) / f"{path.name}.partial"
    caveats: list[Diagnostic] = []
    try:
        with shown_progress() as show:
            table = ranges_from_images(
                onnx,
                chosen,
                progress=lambda done: show("calibrate", done, len(chosen)),
                warn=caveats.append,
                partial=partial,
            )
    except KeyboardInterrupt:
        if partial.exists():
            note(f"stopped; the same command goes on from {partial}")
        raise
    table.write(path)
    partial.unlink(missing_ok=True)
    caveats += chosen.caveats()
    for caveat in caveats:
        note(f"warning: {caveat.message} ({caveat.hint})")
    if as_json:
        warnings = [caveat.to_dict() for caveat in caveats]
        print_json(
            {
                "ranges": str(path),
                "images": table.images,
                "images_sha256": table.images_sha256,
                "tensors": len(table.tensors),
                "warnings": warnings,
            }
        )
    else:
        print_table(["model", "images", "tensors"], [[table.model, table.images, len(table.tensors)]])
    wrote(path, f"edgeseg quantize {onnx} --ranges {path}")
