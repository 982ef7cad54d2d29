"""Q/DQ pairs put where they cost least: before what only moves values, and not where nothing is computed in integers.

A runtime fuses a QuantizeLinear with the node that makes the tensor. Behind a Transpose or Reshape it finds none, and
the transpose itself moves floats; before it, one pass less is made over bytes that are a quarter the size.
"""

from __future__ import annotations

from collections.abc import Set
from typing import cast

import onnx_ir as ir

from edgeseg.graph.core import constant
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, Pair, pairs


def hoist_pairs(model: ir.Model, movers: Set[str]) -> ir.Model:
    """Move each pair before the operators of type `movers` that it comes out of, in place.

    movers: operators that pick or move values, so that quantising commutes with them. A pair stays behind one whose
    result is read by others, too.
    """
    for pair in list(pairs(model)):
        path = movers_before(pair, movers)
        if path:
            hoist_pair(model.graph, pair, path[-1])
    return model


def movers_before(pair: Pair, movers: Set[str]) -> list[ir.Node]:
    """The nodes that `pair` can be moved before, the nearest first."""
    path: list[ir.Node] = []
    value = pair.tensor
    while (node := value.producer()) is not None and node.op_type in movers and is_read_once(value):
        path.append(node)
        value = cast(ir.Value, node.inputs[0])
    return path


def is_read_once(value: ir.Value) -> bool:
    """Whether one node reads `value`, and nobody outside the graph."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def hoist_pair(graph: ir.Graph, pair: Pair, first: ir.Node) -> None:
    """Move `pair` before `first`, or drop it where `first` can read the codes of another pair with its scale."""
    source, known = cast(ir.Value, first.inputs[0]), dequantized_as(cast(ir.Value, first.inputs[0]), pair)
    if known is None and is_quantised(source):
        return
    bypass(pair)
    if known is not None:
        remove_pair(graph, pair)
        first.replace_input_with(0, known)
        return
    graph.remove([pair.dequantize, pair.quantize])
    pair.quantize.replace_input_with(0, source)
    for node in (pair.quantize, pair.dequantize):
        node.outputs[0].shape = source.shape
    graph.insert_before(first, [pair.quantize, pair.dequantize])
    first.replace_input_with(0, pair.dequantize.outputs[0])


def dequantized_as(source: ir.Value, pair: Pair) -> ir.Value | None:
    """What a pair with the scale of `pair` makes of `source`, or `source` where it comes out of such a pair."""
    made = source.producer()
    readers = [user for node in source.consumers() if node.op_type == QUANTIZE for user in node.outputs[0].consumers()]
    known = [made] if made is not None and made.op_type == DEQUANTIZE else readers
    scale = constant(pair.dequantize.inputs[1])
    return next((node.outputs[0] for node in known if constant(node.inputs[1]) == scale), None)


def is_quantised(value: ir.Value) -> bool:
    """Whether `value` goes into a QuantizeLinear or comes out of a DequantizeLinear."""
    made = value.producer()
    return (made is not None and made.op_type == DEQUANTIZE) or any(n.op_type == QUANTIZE for n in value.consumers())


def bypass(pair: Pair) -> None:
    """Let all who read what `pair` gives read what goes in."""
    for node, index in pair.dequantize.outputs[0].uses():
        node.replace_input_with(index, pair.tensor)


def remove_pair(graph: ir.Graph, pair: Pair) -> None:
    """Take a pair that nobody reads out of the graph, and its constants with it."""
    constants = [value for value in pair.quantize.inputs[1:] if value is not None]
    graph.remove([pair.dequantize, pair.quantize], safe=True)
    for value in constants:
        if not value.uses():
            del graph.initializers[str(value.name)]


def drop_pairs_of_float_sums(model: ir.Model) -> ir.Model:
    """Remove each pair that only additions read whose sum nobody quantises, in place.

    Such a sum is computed in float, and a pair before it costs a conversion and a rounding for nothing.
    """
    for pair in list(pairs(model)):
        readers = pair.dequantize.outputs[0].consumers()
        if readers and all(node.op_type == "Add" and not is_quantised(summed(node)) for node in readers):
            bypass(pair)
            remove_pair(model.graph, pair)
    return model


def summed(node: ir.Node) -> ir.Value:
    """The sum, behind a ReLU that alone reads it."""
    readers = list(node.outputs[0].consumers())
    return readers[0].outputs[0] if len(readers) == 1 and readers[0].op_type == "Relu" else node.outputs[0]
