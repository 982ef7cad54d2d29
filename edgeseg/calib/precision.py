"""The ONNX that an engine of a given precision is compiled from."""

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
    """The ONNX with the types of `precision`: the float `onnx` itself, or a new file `out`.

    target: the engine. float_nodes: names of layers that stay float in an int8 ONNX. MismatchError for int8 without
    ranges.
    """
    if precision is Precision.FP16:
        return fp16_from_ranges(onnx, table, out=out)
    if precision is not Precision.INT8:
        return onnx
    if table is None:
        message = f"int8 needs ranges, and there is no range table for {onnx.path.stem}"
        raise MismatchError(message, hint="calibrate: add --images FOLDER", code="ES-RANGES-MISSING")
    return int8_from_ranges(onnx, table, target=target, out=out, float_nodes=float_nodes)
