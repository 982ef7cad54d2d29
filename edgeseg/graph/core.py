"""The core of a deploy graph: the network between the preprocessing and the postprocessing.

    graph input -> [Cast, Transpose, normalise] -> core -> [Resize, ArgMax, Cast] -> graph output

All input sizes and output heads of one model share the same core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import ShapeInferencePass

from edgeseg.errors import FormatError

LOGITS = "logits"
PREPROCESSING = {"Sub", "Add", "Mul", "Div", "Gather", "Cast", "Transpose"}
POSTPROCESSING = {"Resize", "ArgMax", "Cast", "Squeeze", "Identity"}
KEEPS_LOGITS = {"Resize", "Reshape", "ScatterElements"}  # what they give of logits are logits
HEADS = "heads/"  # prefix of the nodes that edgeseg adds behind the heads of an adopted network


@dataclass(frozen=True)
class Core:
    """The network of a deploy graph.

    input: the normalised image. outputs: the logits. nodes: those that depend on the input, in the graph's order.
    normalisation: operators and constants between the graph's input and `input`, in order.
    """

    input: ir.Value
    outputs: tuple[ir.Value, ...]
    nodes: tuple[ir.Node, ...]
    normalisation: tuple[tuple[str, NDArray[Any]], ...]

    def activations(self) -> Iterator[ir.Value]:
        """Every float tensor that depends on the image, the core's input first."""
        yield self.input
        for node in self.nodes:
            if node.op_type != "Identity":
                yield from (value for value in node.outputs if value.name and is_float(value))

    def are_logits(self, value: ir.Value) -> bool:
        """Whether `value` is an output, or a coarser map of one, or logits of single points of one."""
        readers = [node for node in value.consumers() if node.op_type in KEEPS_LOGITS]
        return value in self.outputs or any(self.are_logits(node.outputs[0]) for node in readers)


def core_from_model(model: ir.Model) -> Core:
    """Find the core of `model`, after type inference. FormatError if the graph does not have exactly one input."""
    infer_types(model)
    graph = model.graph
    inputs = [value for value in graph.inputs if value.name not in graph.initializers]
    if len(inputs) != 1:
        raise FormatError(
            f"this graph has {len(inputs)} inputs; a segmentation model has one", hint="export it with edgeseg export"
        )
    first, normalisation = skip_preprocessing(inputs[0])
    outputs = core_outputs(graph)
    needed = ancestors(outputs, first)
    dependent = {first}
    nodes = []
    for node in graph:
        if node in needed and any(value in dependent for value in node.inputs):
            dependent.update(node.outputs)
            nodes.append(node)
    return Core(first, outputs, tuple(nodes), tuple(normalisation))


def skip_preprocessing(value: ir.Value) -> tuple[ir.Value, list[tuple[str, NDArray[Any]]]]:
    """Follow casts, transposes and arithmetic with constants from `value`: the last value, and the steps to it."""
    steps: list[tuple[str, NDArray[Any]]] = []
    while len(value.uses()) == 1 and not value.is_graph_output():
        (use,) = value.uses()
        node = use.node
        constants = [constant(other) for index, other in enumerate(node.inputs) if index != use.idx]
        if node.op_type not in PREPROCESSING or any(array is None for array in constants):
            break
        steps += [(node.op_type, array) for array in constants if array is not None]
        value = node.outputs[0]
    return value, steps


def core_outputs(graph: ir.Graph) -> tuple[ir.Value, ...]:
    """The inputs of the postprocessing: found by the name "logits", else by the operators behind them."""
    ends = [value for node in graph for value in node.outputs if value.name == LOGITS] or graph.outputs
    return tuple(dict.fromkeys(logits for value in ends for logits in before_postprocessing(value)))


def before_postprocessing(value: ir.Value) -> Iterator[ir.Value]:
    """Follow resizes, argmax, casts and joined heads back from `value` to the tensors that they read."""
    node = value.producer()
    if node is not None and node.op_type in POSTPROCESSING:
        yield from before_postprocessing(cast(ir.Value, node.inputs[0]))
    elif node is not None and (node.name or "").startswith(HEADS):
        for operand in node.inputs:
            if operand is not None and constant(operand) is None:
                yield from before_postprocessing(operand)
    else:
        yield value


def ancestors(outputs: tuple[ir.Value, ...], stop: ir.Value) -> set[ir.Node]:
    """Every node that `outputs` depend on; the search does not go past `stop`."""
    nodes: set[ir.Node] = set()
    waiting = [value for value in outputs if value is not stop]
    while waiting:
        node = waiting.pop().producer()
        if node is not None and node not in nodes:
            nodes.add(node)
            waiting += [value for value in node.inputs if value is not None and value is not stop]
    return nodes


def constant(value: ir.Value | None) -> NDArray[Any] | None:
    """The array of an initializer or Constant, also behind Identity nodes; None if the value is computed."""
    while value is not None and (node := value.producer()) is not None and node.op_type == "Identity":
        value = node.inputs[0]
    tensor = None if value is None else ir.convenience.get_const_tensor(value)
    return None if tensor is None else np.asarray(tensor.numpy())


def is_float(value: ir.Value) -> bool:
    """Whether `value` is a float32 tensor."""
    return bool(value.dtype == ir.DataType.FLOAT)


def infer_types(model: ir.Model) -> ir.Model:
    """Give every value of `model` its inferred type and shape, in place."""
    if any(value.dtype is None or value.shape is None for node in model.graph for value in node.outputs if value.name):
        ShapeInferencePass()(model)
    return model


def made_by(value: ir.Value | None, op_type: str) -> bool:
    """Whether a node of type `op_type` produces `value`."""
    node = None if value is None else value.producer()
    return node is not None and node.op_type == op_type


def first_input(node: ir.Node) -> ir.Value:
    """The first input of a node that has one."""
    return cast(ir.Value, node.inputs[0])


def is_read_once(value: ir.Value) -> bool:
    """Whether exactly one node reads `value`, and it is no output of the graph."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def behind(value: ir.Value, is_passed: Callable[[ir.Node], bool]) -> ir.Value:
    """The output of the only node that reads `value` where that `is_passed`, else `value`."""
    readers = list(value.consumers())
    return readers[0].outputs[0] if len(readers) == 1 and is_passed(readers[0]) else value


def new_node(
    op_type: str,
    inputs: Sequence[ir.Value | None],
    attributes: Mapping[str, Any] | None = None,
    *,
    name: str,
    dtype: ir.DataType | None,
    shape: Sequence[Any] | ir.Shape | None,
    output: str = "",
) -> ir.Node:
    """A node with one output of known type and shape, named `output` or like the node."""
    return ir.node(op_type, inputs, attributes, outputs=[ir.val(output or name, dtype, shape)], name=name)


def add_constant(graph: ir.Graph, name: str, values: Any) -> ir.Value:
    """Add the initializer `name` to `graph`."""
    value = ir.val(name, const_value=ir.tensor(np.asarray(values), name=name))
    graph.register_initializer(value)
    return value


def insert_behind(graph: ir.Graph, value: ir.Value, nodes: Sequence[ir.Node]) -> None:
    """Insert `nodes` right behind the node that produces `value`; first in the graph if `value` is an input."""
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(producer, nodes)
