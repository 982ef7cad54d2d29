"""Truncate a graph at any of its float tensors. A runtime still fuses all nodes before the new outputs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeseg.graph.core import infer_types
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, pairs


@dataclass(frozen=True)
class DataFlow:
    """Which float tensors of a graph depend on which. Outputs of Q/DQ nodes are not counted.

    parents: tensor name -> the nearest float tensors that it is computed from, in the graph's order.
    outputs: the nearest float tensors that the graph's outputs are computed from, or are.
    """

    parents: dict[str, tuple[str, ...]]
    outputs: tuple[str, ...]


def data_flow(model: ir.Model) -> DataFlow:
    """The data flow of `model`, after type inference in place."""
    graph = infer_types(model).graph
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
    outputs = dict.fromkeys(name for value in graph.outputs for name in nearest.get(value, ()))
    return DataFlow(parents, tuple(outputs))


def is_float_tensor(value: ir.Value) -> bool:
    """Whether `value` is computed in floating point and is no output of a Q/DQ node."""
    node = value.producer()
    rounded = node is not None and node.op_type in (QUANTIZE, DEQUANTIZE)
    return bool(value.name) and value.dtype is not None and value.dtype.is_floating_point() and not rounded


def node_of(model: ir.Model, tensor: str) -> ir.Node:
    """The node that computes `tensor`."""
    return next(node for node in model.graph if any(value.name == tensor for value in node.outputs))


def truncate_graph(model: ir.Model, names: Collection[str]) -> ir.Model:
    """Make the tensors `names` the only outputs of `model`, in the graph's order, and drop unused nodes, in place."""
    graph = infer_types(model).graph
    outputs = [value for node in graph for value in node.outputs if value.name in names]
    graph.outputs.clear()
    graph.outputs.extend(outputs)
    RemoveUnusedNodesPass()(model)
    return model


def bypass_pairs(model: ir.Model) -> ir.Model:
    """Let all readers of a quantised activation read the float tensor instead, in place. Weights stay quantised."""
    for pair in list(pairs(model)):
        pair.bypass()
    return model
