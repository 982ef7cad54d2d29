"""`edgeseg quantize`: a float ONNX and a range table to an INT8 ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.commands.options import Json


def command(
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="A float ONNX from edgeseg export.")],
    ranges: Annotated[Path, typer.Option("--ranges", metavar="FILE", help="A table from edgeseg calibrate.")],
    target: Annotated[
        str, typer.Option("--target", help="Whose layout: canonical (TensorRT), openvino or onnxruntime.")
    ] = "canonical",
    observer: Annotated[str, typer.Option("--observer", help="minmax, percentile or mse.")] = "percentile",
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="The INT8 ONNX.")] = None,
    as_json: Json = False,
) -> None:
    """Write ONNX as INT8, with the Q/DQ pairs that the engine fuses."""
    from edgeseg.calib.quantize import int8_from_ranges
    from edgeseg.calib.range import RangeTable
    from edgeseg.commands.terminal import print_json, wrote

    path = output or onnx.with_name(f"{onnx.stem}.{target}.int8.onnx")
    artifact = int8_from_ranges(onnx, RangeTable.open(ranges), target=target, out=path, observer=observer)
    if as_json:
        print_json({"onnx": str(artifact.path), "target": target, "observer": observer})
    wrote(artifact.path, f"edgeseg build {artifact.path} --engine {target} --reference {onnx}")
