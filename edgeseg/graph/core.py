"""The network inside a deploy graph: what lies between the normalisation and the post head.

    graph input -> [Cast, Transpose, normalise] -> core -> [Resize, ArgMax, Cast] -> graph output

The core is what all sizes and heads of one model have in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from edgeseg.errors import FormatError

LOGITS = "logits"
ARITHMETIC = {"Sub", "Add", "Mul", "Div", "Gather"}
PRE_HEAD = ARITHMETIC | {"Cast", "Transpose"}
POST_HEAD = {"Resize", "ArgMax", "Cast", "Squeeze", "Identity"}
HEADS = "heads/"  # begins the names of the nodes that edgeseg puts behind the heads of an adopted network


@dataclass(frozen=True)
class Core:
    """The network of a deploy graph.

    input: the normalised picture. outputs: the logits. nodes: in the graph's order, and only those that depend on
    the input. normalisation: operators and constants between the graph's input and `input`, in order.
    """

    input: ir.Value
    outputs: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    normalisation: tuple[tuple[str, NDArray[Any]], ...]

    def activations(self) -> Iterator[ir.Value]:
        """Every float tensor that depends on the picture, the core's input first; none is constant."""
        yield self.input
        for node in self.nodes:
            if node.op_type != "Identity":
                yield from (value for value in node.outputs if value.name and is_float(value))


def core_from_model(model: ir.Model) -> Core:
    """The core of `model`, whose values get their inferred types. FormatError where it has no single picture input."""
    typed(model)
    graph = model.graph
    inputs = [value for value in graph.inputs if value.name not in graph.initializers]
    if len(inputs) != 1:
        raise FormatError(
            f"this graph has {len(inputs)} inputs, a segmentation model has one", hint="export it with edgeseg export"
        )
    start, normalisation = after_pre_head(inputs[0])
    outputs = core_outputs(graph)
    needed = ancestors(outputs, start)
    dependent = {start}
    nodes = []
    for node in graph:
        if node in needed and any(value in dependent for value in node.inputs):
            dependent.update(node.outputs)
            nodes.append(node)
    return Core(start, outputs, tuple(nodes), tuple(normalisation))


def after_pre_head(value: ir.Value) -> tuple[ir.Value, list[tuple[str, NDArray[Any]]]]:
    """The end of the chain of casts, transposes and arithmetic with constants that starts at `value`, and its steps."""
    steps: list[tuple[str, NDArray[Any]]] = []
    while len(value.uses()) == 1 and not value.is_graph_output():
        (use,) = value.uses()
        node = use.node
        constants = [constant(other) for index, other in enumerate(node.inputs) if index != use.idx]
        if node.op_type not in PRE_HEAD or any(array is None for array in constants):
            break
        steps += [(node.op_type, array) for array in constants if array is not None]
        value = node.outputs[0]
    return value, steps


def core_outputs(graph: ir.Graph) -> tuple[ir.Value, ...]:
    """The tensors that the post head starts from: the logits, by name or by what follows them."""
    named = [value for node in graph for value in node.outputs if value.name == LOGITS]
    return tuple(dict.fromkeys(start for value in named or graph.outputs for start in before_post_head(value)))


def before_post_head(value: ir.Value) -> Iterator[ir.Value]:
    """The tensors that the chain of resizes, argmax, casts and joined heads which ends in `value` starts from."""
    node = value.producer()
    if node is not None and node.op_type in POST_HEAD:
        yield from before_post_head(cast(ir.Value, node.inputs[0]))
    elif node is not None and (node.name or "").startswith(HEADS):
        for operand in node.inputs:
            if operand is not None and constant(operand) is None:
                yield from before_post_head(operand)
    else:
        yield value


def ancestors(outputs: tuple[ir.Value, ...], stop: ir.Value) -> set[ir.Node]:
    """Every node that `outputs` depend on, not looking past `stop`."""
    found: set[ir.Node] = set()
    waiting = [value for value in outputs if value is not stop]
    while waiting:
        node = waiting.pop().producer()
        if node is not None and node not in found:
            found.add(node)
            waiting += [value for value in node.inputs if value is not None and value is not stop]
    return found


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """The value of an initializer or Constant, looking through Identity; None for anything that is computed."""
    while value is not None and (node := value.producer()) is not None and node.op_type == "Identity":
        value = node.inputs[0]
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else np.asarray(tensor.numpy())


def is_float(value: ir.Value) -> bool:
    """Whether `value` is a float32 tensor."""
    return bool(value.dtype == ir.DataType.FLOAT)


def typed(model: ir.Model) -> ir.Model:
    """`model` with the inferred type and shape on every value."""
    if any(value.dtype is None or value.shape is None for node in model.graph for value in node.outputs if value.name):
        ShapeInferencePass()(model)
    return model
