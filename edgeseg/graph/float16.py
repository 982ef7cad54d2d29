"""A float32 deploy graph whose core computes in float16: half weights, and a Cast wherever the two types meet.

float32 stay: what comes before the core and behind it; normalisations and Softmax, whose sums of squares and of
exponentials leave float16's range first; the logits; and every node with a constant that float16 cannot hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.errors import MismatchError, UnknownNameError
from edgeseg.graph.core import Core, ancestors, constant, core_from_model, is_float
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, WEIGHTED, add_constant

NORMALISATIONS = {"LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"}
FLOAT32 = NORMALISATIONS | {"MeanVarianceNormalization", "LpNormalization", "Softmax", "LogSoftmax", "ReduceLogSumExp"}
SPELT_OUT = {"ReduceMean", "Sub", "Pow", "Mul", "Add", "Sqrt", "Div"}  # a normalisation, operator by operator
SPECIFIED_FLOAT32 = {"Resize": (1, 2), "Upsample": (1,)}  # inputs that ONNX wants as float32: regions and scales
ADDED = {"Conv": (2,), "ConvTranspose": (2,), "Gemm": (2,), "BatchNormalization": (2, 3, 4)}  # to larger numbers
LOST_SHARE = 0.01  # rounding to 11 bits loses 0.02% on average: more means underflow, subnormals or infinities


def to_float16(model: ir.Model, *, keep: frozenset[str] = frozenset()) -> ir.Model:
    """Let the core of the float32 `model` compute in float16, in place. keep: names of nodes that stay float32.

    MismatchError where the graph has other float types or Q/DQ already.
    """
    core = core_from_model(model)
    check_float32(model)
    if unknown := sorted(keep - {str(node.name) for node in core.nodes}):
        raise UnknownNameError.among("node", unknown[0], (str(node.name) for node in core.nodes))
    halves = half_nodes(core, keep)
    narrow_inputs(model.graph, halves)
    widen_outputs(model.graph, halves)
    for name in [name for name, value in model.graph.initializers.items() if not value.uses()]:
        del model.graph.initializers[name]
    return model


def check_float32(model: ir.Model) -> None:
    """Raise MismatchError, naming the node, where `model` has Q/DQ or computes in another float type."""
    hint = "make it from the fp32 ONNX: edgeseg export, or edgeseg adopt for a network from elsewhere"
    for node in model.graph:
        if node.op_type in (QUANTIZE, DEQUANTIZE):
            raise MismatchError(f"this graph is int8 already: it has {node.name}", hint=hint)
        for value in node.outputs:
            if value.dtype is not None and value.dtype.is_floating_point() and not is_float(value):
                raise MismatchError(f"node {node.name} gives {value.dtype}, not FLOAT", hint=hint)


def half_nodes(core: Core, keep: frozenset[str]) -> set[ir.Node]:
    """The nodes of the core that compute in float16."""
    wide = {node for node in core.nodes if node.op_type in FLOAT32 or node.name in keep or is_opaque(node)}
    wide |= {part for node in core.nodes for part in spelt_out_normalisation(node)}
    wide |= set(lossy_nodes(core))
    # A product between two Casts is built in float16 by TensorRT all the same, so who reads it is not behind a Cast.
    wide |= {reader for node in wide if node.op_type in WEIGHTED for reader in node.outputs[0].consumers()}
    return {node for node in core.nodes if node not in wide and any(is_float(value) for value in node.outputs)}


def is_opaque(node: ir.Node) -> bool:
    """Whether `node` is of a domain whose types nobody here knows, or holds a graph of its own."""
    holds_graph = any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values())
    return bool(node.domain) or holds_graph


def lossy_nodes(core: Core) -> Iterator[ir.Node]:
    """The nodes of the core with a float constant of which float16 loses more than LOST_SHARE."""
    for node in core.nodes:
        for index, value in narrowed(node):
            array = constant(value)
            if array is not None and lost_share(array) > (1 if index in ADDED.get(node.op_type, ()) else LOST_SHARE):
                yield node
                break


def lost_share(array: NDArray[Any]) -> float:
    """The share of the magnitudes in `array` that float16 loses: 1 where all become zero, inf where one overflows."""
    wide = array[np.isfinite(array)].astype(np.float64)
    total = np.abs(wide).sum()
    with np.errstate(over="ignore"):
        return float(np.abs(wide.astype(np.float16) - wide).sum() / total) if total else 0.0


def spelt_out_normalisation(node: ir.Node) -> set[ir.Node]:
    """(x - mean) / sqrt(mean of its square + eps), from x to `node`, the division; empty where it is none."""
    dividend = node.inputs[0].producer() if node.op_type == "Div" and node.inputs[0] is not None else None
    if dividend is None or dividend.op_type != "Sub" or dividend.inputs[0] is None:
        return set()
    parts = ancestors((node.outputs[0],), dividend.inputs[0])
    operators = [part.op_type for part in parts]
    whole = set(operators) <= SPELT_OUT | {"Constant"} and "Sqrt" in operators and operators.count("ReduceMean") == 2
    return parts if whole else set()


def narrowed(node: ir.Node) -> Iterator[tuple[int, ir.Value]]:
    """Index and value of each float input that is float16 where `node` is."""
    fixed = SPECIFIED_FLOAT32.get(node.op_type, ())
    for index, value in enumerate(node.inputs):
        if value is not None and index not in fixed and is_float_like(value):
            yield index, value


def is_float_like(value: ir.Value) -> bool:
    """Whether `value` is float32, also where an initializer has its type in its tensor alone."""
    return is_float(value) or (value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT)


def narrow_inputs(graph: ir.Graph, halves: set[ir.Node]) -> None:
    """Give every node of `halves` float16 inputs: weights as such, and what float32 nodes make through one Cast."""
    made: dict[ir.Value, ir.Value] = {}
    for node in [node for node in graph if node in halves]:
        for index, value in list(narrowed(node)):
            if value.producer() not in halves:
                if value not in made:
                    made[value] = half_of(graph, value)
                node.replace_input_with(index, made[value])


def half_of(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """`value` in float16: a constant where it is one, else what a Cast gives."""
    array = constant(value)
    if array is not None:
        return add_constant(graph, f"{value.name}_half", array.astype(np.float16))
    return cast_behind(graph, value, ir.DataType.FLOAT16, f"{value.name}_half")


def widen_outputs(graph: ir.Graph, halves: set[ir.Node]) -> None:
    """Mark what `halves` give as float16, and cast it back for all others. Who reads the graph finds the same names."""
    for node in [node for node in graph if node in halves]:
        if node.op_type == "Cast":
            node.attributes.add(ir.AttrInt64("to", ir.DataType.FLOAT16))
        for value in node.outputs:
            if is_float(value):
                value.dtype = ir.DataType.FLOAT16
                widen(graph, value, halves)


def widen(graph: ir.Graph, value: ir.Value, halves: set[ir.Node]) -> None:
    """Let all who are not in `halves` read a float32 copy of `value`, which takes its name."""
    users = [(user, index) for user, index in value.uses() if user not in halves]
    if not users and not value.is_graph_output():
        return
    name, value.name = value.name, f"{value.name}_half"
    wide = cast_behind(graph, value, ir.DataType.FLOAT, str(name))
    for user, index in users:
        user.replace_input_with(index, wide)
    for index, output in enumerate(graph.outputs):
        if output is value:
            graph.outputs[index] = wide


def cast_behind(graph: ir.Graph, value: ir.Value, to: ir.DataType, name: str) -> ir.Value:
    """The output `name` of a new Cast of `value`, right behind what makes it."""
    cast = ir.node("Cast", [value], {"to": to}, name=f"{name}/Cast")
    cast.outputs[0].name, cast.outputs[0].dtype, cast.outputs[0].shape = name, to, value.shape
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], cast)
    else:
        graph.insert_after(producer, cast)
    return cast.outputs[0]
