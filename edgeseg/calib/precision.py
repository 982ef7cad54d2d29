"""Which ONNX an engine of a precision is compiled from."""

from __future__ import annotations

from pathlib import Path

from edgeseg.artifact import LoadedModel
from edgeseg.calib.float16 import fp16_from_ranges
from edgeseg.calib.quantize import int8_from_ranges
from edgeseg.calib.range import RangeTable
from edgeseg.errors import MismatchError
from edgeseg.spec import Precision


def onnx_of_precision(
    precision: Precision,
    onnx: LoadedModel,
    table: RangeTable | None,
    *,
    target: str,
    out: Path,
    float_nodes: frozenset[str] = frozenset(),
) -> LoadedModel:
    """The ONNX of the types that an engine of `precision` computes in: the float `onnx`, or one written to `out`.

    target: the engine. float_nodes: names of layers that stay float in an int8 ONNX. MismatchError where int8 has no
    ranges.
    """
    if precision is Precision.FP16:
        return fp16_from_ranges(onnx, table, out=out)
    if precision is not Precision.INT8:
        return onnx
    if table is None:
        message = f"int8 needs ranges, and there is no table for {onnx.path.stem}"
        raise MismatchError(message, hint="calibrate: add --images FOLDER")
    return int8_from_ranges(onnx, table, target=target, out=out, float_nodes=float_nodes)
