"""A graph that ends earlier: in any of its float tensors, so that a runtime still fuses all that comes before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir

from edgeseg.graph.core import typed
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, pairs


@dataclass(frozen=True)
class Flow:
    """How the picture flows through the float tensors of a graph; what Q/DQ give is not counted.

    parents: name of a tensor -> those that it is computed from with none in between, in the graph's order.
    ends: the tensors that the graph's outputs are, or are computed from with none in between.
    """

    parents: dict[str, tuple[str, ...]]
    ends: tuple[str, ...]


def flow_of(model: ir.Model) -> Flow:
    """The flow of `model`, whose values get their inferred types."""
    graph = typed(model).graph
    nearest: dict[ir.Value, tuple[str, ...]] = {
        value: () for value in graph.inputs if value.name not in graph.initializers
    }
    parents: dict[str, tuple[str, ...]] = {}
    for node in graph:
        read = [value for value in node.inputs if value in nearest]
        if not read:
            continue
        before = tuple(dict.fromkeys(name for value in read for name in nearest[value]))
        for value in node.outputs:
            if is_float_tensor(value):
                parents[str(value.name)] = before
            nearest[value] = (str(value.name),) if is_float_tensor(value) else before
    ends = dict.fromkeys(name for value in graph.outputs for name in nearest.get(value, ()))
    return Flow(parents, tuple(ends))


def is_float_tensor(value: ir.Value) -> bool:
    """Whether `value` is computed in floating point, and is no rounded copy of another."""
    node = value.producer()
    rounded = node is not None and node.op_type in (QUANTIZE, DEQUANTIZE)
    return bool(value.name) and value.dtype is not None and value.dtype.is_floating_point() and not rounded


def node_of(model: ir.Model, tensor: str) -> ir.Node:
    """The node that computes `tensor`."""
    return next(node for node in model.graph if any(value.name == tensor for value in node.outputs))


def cut_graph(model: ir.Model, names: Collection[str]) -> ir.Model:
    """Let `model` end in the tensors `names`, in the graph's order, in place; what they do not need is gone."""
    graph = typed(model).graph
    ends = [value for node in graph for value in node.outputs if value.name in names]
    graph.outputs.clear()
    graph.outputs.extend(ends)
    for node in reversed(graph):
        if not any(value.uses() or value.is_graph_output() for value in node.outputs):
            graph.remove(node, safe=True)
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]
    return model


def bypass_pairs(model: ir.Model) -> ir.Model:
    """Let all who read a rounded activation of `model` read the float tensor, in place; weights stay as they are."""
    for pair in list(pairs(model)):
        for node, index in pair.dequantize.outputs[0].uses():
            node.replace_input_with(index, pair.tensor)
    return model
