"""A quantised graph that begins with the frame's bytes as they are: no Cast, no subtraction and no rounding."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.core import constant
from edgeseg.graph.frame_border import read_bordered_bytes
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, Encoding, Pair, encoding_constants

MOVERS = {"Transpose", "Gather"}


def comes_of_bytes(value: ir.Value) -> bool:
    """Whether `value` is a Cast of uint8, moved at most."""
    node = value.producer()
    while node is not None and node.op_type in MOVERS:
        node = cast(ir.Value, node.inputs[0]).producer()
    return node is not None and node.op_type == "Cast" and cast(ir.Value, node.inputs[0]).dtype == ir.DataType.UINT8


def read_frame_bytes(graph: ir.Graph, picture: ir.Value) -> None:
    """Where `picture` is bytes less whole numbers z, and only quantised, read the bytes: with a border where z is a
    colour, and with the zero point z where it is one number.
    """
    zero, quantize = zero_of_bytes(picture), only_reader(picture, QUANTIZE)
    dequantize = None if quantize is None else only_reader(quantize.outputs[0], DEQUANTIZE)
    if zero is None or quantize is None or dequantize is None:
        return
    if len(zero) == 1:
        read_bytes(graph, Pair(quantize, dequantize), int(zero[0]))
    elif any(node.op_type == QUANTIZE and node is not quantize for node in graph):
        # OpenVINO (2026.4.1) computes in integers only where a graph rounds something.
        read_bordered_bytes(graph, Pair(quantize, dequantize), zero)
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]


def read_bytes(graph: ir.Graph, pair: Pair, zero: int) -> None:
    """Let those who read `pair`, of pixels less `zero`, read the pixels as they are."""
    subtract = cast(ir.Node, pair.tensor.producer())
    pixels = cast(ir.Value, subtract.inputs[0])
    constants = encoding_constants(graph, f"{pair.tensor.name}_bytes", Encoding(1.0, zero, np.uint8))
    for index, value in enumerate((pixels, *constants)):
        pair.dequantize.replace_input_with(index, value)
    graph.remove([pair.quantize, subtract], safe=True)
    leave_bytes(graph, pixels)


def zero_of_bytes(value: ir.Value) -> NDArray[np.uint8] | None:
    """z, (1,) or (3,), where `value` is bytes less the whole numbers z; None elsewhere."""
    node = value.producer()
    array = constant(node.inputs[1]) if node is not None and node.op_type == "Sub" else None
    if node is None or array is None or array.size not in (1, 3) or not comes_of_bytes(cast(ir.Value, node.inputs[0])):
        return None
    zero = array.reshape(-1).astype(np.uint8)
    return zero if np.array_equal(zero, array.reshape(-1)) else None


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
