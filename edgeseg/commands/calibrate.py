"""`edgeseg calibrate`: images to a range table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.commands.options import Json, Limit, option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgeseg.calib.range import RangeTable
    from edgeseg.measure.diagnostic import Diagnostic

EXAMPLES = """
  edgeseg calibrate model.onnx --images frames/
  edgeseg calibrate model.onnx --images 'camvid:CamVid?split=train' --limit 200
"""


def command(
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="A float ONNX from edgeseg export.")],
    images: Annotated[
        str, option("--images DIR", "Images like those of the camera: a folder, a glob or a data set's URI.")
    ],
    limit: Limit = 100,
    seed: Annotated[int, option("--seed N", "Seed of that drawing.", min=0)] = 0,
    output: Annotated[Path | None, option("-o --output FILE", "The range table.", default="NAME.ranges.json")] = None,
    as_json: Json = False,
) -> None:
    """Measure the activation ranges that INT8 needs.

    The result is a range table, which serves every input size, output head and runtime of the network. The same
    command resumes a calibration that was stopped.
    """
    from edgeseg.artifact import artifact_from_onnx
    from edgeseg.calib.calibrate import ranges_from_images
    from edgeseg.calib.images import images_from
    from edgeseg.commands.terminal import note, shown_progress
    from edgeseg.files import writable_folder

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
            note(f"stopped; the same command resumes from {partial}")
        raise
    table.write(path)
    partial.unlink(missing_ok=True)
    print_ranges(onnx, path, table, warnings, as_json)


def print_ranges(onnx: Path, path: Path, table: RangeTable, warnings: Sequence[Diagnostic], as_json: bool) -> None:
    """Print what the range table at `path` holds, the warnings, and the next command."""
    from edgeseg.commands.terminal import note, print_json, print_table, wrote

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
