"""A quantised graph that begins with the frame's bytes as they are: no Cast, no subtraction and no rounding."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx_ir as ir

from edgeseg.graph.core import constant
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, Encoding, encoding_constants

MOVERS = {"Transpose", "Gather"}


def comes_of_bytes(value: ir.Value) -> bool:
    """Whether `value` is a Cast of uint8, moved at most."""
    node = value.producer()
    while node is not None and node.op_type in MOVERS:
        node = cast(ir.Value, node.inputs[0]).producer()
    return node is not None and node.op_type == "Cast" and cast(ir.Value, node.inputs[0]).dtype == ir.DataType.UINT8


def read_frame_bytes(graph: ir.Graph, picture: ir.Value) -> None:
    """Where `picture` is bytes less a whole number z, and only quantised, read the bytes with the zero point z."""
    subtract, zero, quantize = picture.producer(), zero_of_bytes(picture), only_reader(picture, QUANTIZE)
    dequantize = None if quantize is None else only_reader(quantize.outputs[0], DEQUANTIZE)
    if subtract is None or zero is None or quantize is None or dequantize is None:
        return
    pixels = cast(ir.Value, subtract.inputs[0])
    constants = encoding_constants(graph, f"{picture.name}_bytes", Encoding(1.0, zero, np.uint8))
    for index, value in enumerate((pixels, *constants)):
        dequantize.replace_input_with(index, value)
    graph.remove([quantize, subtract], safe=True)
    leave_bytes(graph, pixels)
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]


def zero_of_bytes(value: ir.Value) -> int | None:
    """z, where `value` is bytes less the whole number z; None elsewhere."""
    node = value.producer()
    array = constant(node.inputs[1]) if node is not None and node.op_type == "Sub" else None
    if node is None or array is None or array.size != 1 or not comes_of_bytes(cast(ir.Value, node.inputs[0])):
        return None
    zero = float(array.item())
    return int(zero) if zero.is_integer() and 0 <= zero <= 255 else None


def only_reader(value: ir.Value, operator: str) -> ir.Node | None:
    """The one node that reads `value`, where it is an `operator`."""
    readers = list(value.consumers())
    return readers[0] if len(readers) == 1 and readers[0].op_type == operator else None


def leave_bytes(graph: ir.Graph, pixels: ir.Value) -> None:
    """Take the Cast away that `pixels` comes out of, so that it stays uint8."""
    node = cast(ir.Node, pixels.producer())
    while node.op_type in MOVERS:
        node.outputs[0].dtype = ir.DataType.UINT8
        node = cast(ir.Node, cast(ir.Value, node.inputs[0]).producer())
    node.outputs[0].replace_all_uses_with(cast(ir.Value, node.inputs[0]))
    graph.remove(node, safe=True)
