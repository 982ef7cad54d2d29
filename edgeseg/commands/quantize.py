"""`edgeseg quantize`: a float ONNX and a range table to an INT8 ONNX, or to the calibration cache of TensorRT 8."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.calib import OBSERVERS
from edgeseg.commands.options import Json, option

if TYPE_CHECKING:
    from edgeseg.calib.quantize import Method
    from edgeseg.calib.range import RangeTable

EXAMPLES = """
  edgeseg quantize model.onnx --ranges model.ranges.json
  edgeseg quantize model.onnx --ranges model.ranges.json --target openvino
"""


def command(
    onnx: Annotated[Path, typer.Argument(metavar="ONNX", help="A float ONNX from edgeseg export.")],
    ranges: Annotated[Path, option("--ranges FILE", "A table from edgeseg calibrate.")],
    target: Annotated[
        str,
        option(
            "--target NAME",
            "canonical (for TensorRT), openvino, onnxruntime; tensorrt8.5 or tensorrt8.6: a calibration cache.",
        ),
    ] = "canonical",
    observer: Annotated[
        str | None,
        option("--observer NAME", f"One of {', '.join(OBSERVERS)}.", default="the one that keeps most labels"),
    ] = None,
    equalize: Annotated[
        bool | None, option("", "Equalise the channels between convolutions.", default="where it keeps more labels")
    ] = None,
    bias_correction: Annotated[
        bool | None, option("", "Correct biases for the mean rounding error.", default="where it keeps more labels")
    ] = None,
    weight_bits: Annotated[
        int | None,
        option(
            "--weight-bits N",
            "7 for processors without VNNI, else 8.",
            default="by the target and this processor",
            min=7,
            max=8,
        ),
    ] = None,
    output: Annotated[
        Path | None, option("-o --output FILE", "The INT8 ONNX.", default="NAME.TARGET.int8.onnx")
    ] = None,
    as_json: Json = False,
) -> None:
    """Quantize a float ONNX to INT8 with a range table.

    Q/DQ nodes go where the target runtime fuses them. For JetPack 5 the results are a calibration cache for trtexec
    --calib and the float ONNX in opset 17.
    """
    from edgeseg.artifact import artifact_from_onnx
    from edgeseg.calib.placement import CACHES
    from edgeseg.calib.quantize import best_method, int8_from_ranges
    from edgeseg.calib.range import RangeTable
    from edgeseg.commands.terminal import print_json, wrote

    table = RangeTable.open(ranges)
    method = with_options(
        best_method(artifact_from_onnx(onnx), table), observer, equalize, bias_correction, weight_bits
    )
    if target in CACHES:
        older = write_opset17(onnx, target)
        path = write_cache(onnx, table, target, method, output)
        following = f"trtexec --onnx={older} --int8 --fp16 --calib={path} --saveEngine={onnx.stem}.plan"
        wrote(older)
    else:
        path = output or onnx.with_name(f"{onnx.stem}.{target}.int8.onnx")
        int8_from_ranges(onnx, table, target=target, out=path, method=method)
        engine = "tensorrt" if target == "canonical" else target
        following = f"edgeseg build {path} --engine {engine} --reference {onnx}"
    if as_json:
        print_json({"cache" if target in CACHES else "onnx": str(path), "target": target, **method.to_dict()})
    wrote(path, following)


def with_options(
    method: Method,
    observer: str | None,
    equalize: bool | None,
    bias_correction: bool | None,
    weight_bits: int | None,
) -> Method:
    """`method` with the values that a user typed; None leaves its own, and `weight_bits` to the target."""
    return dataclasses.replace(
        method,
        observer=method.observer if observer is None else observer,
        equalize=method.equalize if equalize is None else equalize,
        bias_correction=method.bias_correction if bias_correction is None else bias_correction,
        weight_bits=weight_bits,
    )


def write_opset17(onnx: Path, target: str) -> Path:
    """The float ONNX as the parser of TensorRT 8 reads it. MismatchError for an operator that it does not have."""
    import onnx_ir as ir

    from edgeseg.artifact import artifact_from_onnx, read_onnx, write_onnx
    from edgeseg.errors import MismatchError
    from edgeseg.graph.opset17 import OPERATORS_8_5, OPERATORS_8_6, lowered_to_opset17, unsupported_nodes

    model = lowered_to_opset17(ir.from_proto(read_onnx(onnx)))
    for node in unsupported_nodes(model, OPERATORS_8_5 if target == "tensorrt8.5" else OPERATORS_8_6):
        named = f"{node.name or node.outputs[0].name} ({node.op_type})"
        message = f"{target} cannot read the operator {named} of {onnx.name}"
        raise MismatchError(message, hint="use another network, or JetPack 6", code="ES-OPERATOR")
    path = onnx.with_name(f"{onnx.stem}.{target}.onnx")
    write_onnx(ir.to_proto(model), dataclasses.replace(artifact_from_onnx(onnx), path=path))
    return path


def write_cache(onnx: Path, table: RangeTable, target: str, method: Method, output: Path | None) -> Path:
    """The ranges as a calibration cache; corrections of weights and biases have no place in it."""
    from edgeseg.calib.cache import calibration_cache_from_ranges
    from edgeseg.calib.placement import CACHES
    from edgeseg.files import whole_file

    text = calibration_cache_from_ranges(onnx, table, observer=method.observer, version=CACHES[target])
    path = output or onnx.with_name(f"{onnx.stem}.{target}.calib")
    with whole_file(path) as partial:
        partial.write_text(text, encoding="ascii")
    return path
