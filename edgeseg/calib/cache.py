"""The calibration cache of TensorRT 8: the ranges as text, for a float ONNX without Q/DQ pairs.

For TensorRT 8.5 (JetPack 5) and 8.6, whose builder places int8 itself: `trtexec --onnx=F.onnx --int8 --fp16 --calib=C`.
The first line names release and calibrator; TensorRT ignores a cache with another first line. Each further line is a
tensor: its name in the ONNX, and the bits of the float32 scale (largest magnitude / 127) as big-endian hex digits.

TensorRT computes in float what reads or writes a tensor without a scale. Outputs that must stay float therefore have no
line: the logits, gates, Softmax and products of two activations (attention), and the inside of a LayerNorm. Every input
of a quantised layer has a scale.
"""

from __future__ import annotations

import struct
from pathlib import Path

import onnx_ir as ir

from edgeseg.artifact import artifact_from_onnx, read_onnx
from edgeseg.calib.placement import BOTH_SIDES, CACHES, SAME_CODES, is_gate, placement_from_model
from edgeseg.calib.quantize import scales_from_table
from edgeseg.calib.range import RangeTable
from edgeseg.graph.core import constant, core_from_model

FOLLOWS = BOTH_SIDES | SAME_CODES | {"Relu", "LeakyRelu", "Clip", "HardSigmoid", "HardSwish"}


def calibration_cache_from_ranges(
    model_path: str | Path,
    table: RangeTable,
    *,
    observer: str = "percentile",
    version: str = CACHES["tensorrt8.6"],
    float_nodes: frozenset[str] = frozenset(),
) -> str:
    """The cache for the float ONNX at `model_path`, with a line feed at the end of each line.

    version: the first line; placement.CACHES has those of known releases. float_nodes: names of further convolutions
    and matrix products that stay float. MismatchError where the table is of another network.
    """
    path = Path(model_path)
    model = ir.from_proto(read_onnx(path))
    table.check(model, artifact_from_onnx(path).spec.name)
    scales = scales_from_table(model, table, observer)
    lines = [f"{value.name}: {hex_from_float(scales[str(value.name)])}" for value in int8_tensors(model, float_nodes)]
    return "\n".join([version, *lines, ""])


def int8_tensors(model: ir.Model, float_nodes: frozenset[str] = frozenset()) -> list[ir.Value]:
    """The tensors of the float `model` that TensorRT may hold in int8, in the graph's order."""
    core = core_from_model(model)
    placement = placement_from_model(model, float_nodes=float_nodes)
    int8 = set(placement.tensors)
    for node in core.nodes:
        dynamic = [value for value in node.inputs if value is not None and constant(value) is None]
        if node in placement.weighted or (node.op_type in FOLLOWS and all(value in int8 for value in dynamic)):
            int8.update(value for value in node.outputs if not is_gate(value))
    return [value for value in core.activations() if value in int8 and value not in core.outputs]


def hex_from_float(value: float) -> str:
    """The 8 hex digits of `value` as a float32: 1.0 is 3f800000."""
    return struct.pack(">f", value).hex()
