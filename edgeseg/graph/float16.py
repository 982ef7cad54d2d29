"""Convert the core of a float32 deploy graph to float16, with a Cast wherever the two types meet.

These stay float32: preprocessing and postprocessing; normalisations and Softmax, whose sums of squares and exponentials
leave float16's range first; the logits; and every node with a constant that float16 cannot represent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeseg.errors import MismatchError, UnknownNameError
from edgeseg.graph.core import (
    Core,
    add_constant,
    ancestors,
    constant,
    core_from_model,
    insert_behind,
    is_float,
    new_node,
)
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, WEIGHTED

NORMALISATIONS = {"LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"}
FLOAT32 = NORMALISATIONS | {"MeanVarianceNormalization", "LpNormalization", "Softmax", "LogSoftmax", "ReduceLogSumExp"}
DECOMPOSED = {"ReduceMean", "Sub", "Pow", "Mul", "Add", "Sqrt", "Div"}  # the operators of a decomposed normalisation
SPECIFIED_FLOAT32 = {"Resize": (1, 2), "Upsample": (1,)}  # inputs that ONNX defines as float32: regions and scales
ADDITIVE = {
    "Conv": (2,),
    "ConvTranspose": (2,),
    "Gemm": (2,),
    "BatchNormalization": (2, 3, 4),
}  # added to larger values
LOST_SHARE = 0.01  # rounding to 11 bits loses 0.02% on average; more means underflow, subnormals or infinities


def to_float16(model: ir.Model, *, keep: frozenset[str] = frozenset()) -> ir.Model:
    """Convert the core of the float32 `model` to float16, in place. keep: names of nodes that stay float32.

    MismatchError if the graph has other float types or Q/DQ.
    """
    core = core_from_model(model)
    check_float32(model)
    if unknown := sorted(keep - {str(node.name) for node in core.nodes}):
        raise UnknownNameError.among("node", unknown[0], (str(node.name) for node in core.nodes))
    halves = half_nodes(core, keep)
    narrow_inputs(model.graph, halves)
    widen_outputs(model.graph, halves)
    RemoveUnusedNodesPass()(model)
    return model


def check_float32(model: ir.Model) -> None:
    """MismatchError with the name of a node of `model` that is a Q/DQ or computes in another float type."""
    hint = "make it from the fp32 ONNX: edgeseg export, or edgeseg adopt for a network from elsewhere"
    for node in model.graph:
        if node.op_type in (QUANTIZE, DEQUANTIZE):
            raise MismatchError(f"this graph is int8 already: it has {node.name}", hint=hint, code="ES-QUANTISED")
        for value in node.outputs:
            if value.dtype is not None and value.dtype.is_floating_point() and not is_float(value):
                raise MismatchError(f"node {node.name} computes in {value.dtype}, not in FLOAT", hint=hint)


def half_nodes(core: Core, keep: frozenset[str]) -> set[ir.Node]:
    """The nodes of the core that compute in float16."""
    wide = {node for node in core.nodes if node.op_type in FLOAT32 or node.name in keep or is_opaque(node)}
    wide |= {part for node in core.nodes for part in decomposed_normalisation(node)}
    wide |= set(lossy_nodes(core))
    # TensorRT computes a product between two Casts in float16 anyway, so its readers stay float32, without a Cast.
    wide |= {reader for node in wide if node.op_type in WEIGHTED for reader in node.outputs[0].consumers()}
    return {node for node in core.nodes if node not in wide and any(is_float(value) for value in node.outputs)}


def is_opaque(node: ir.Node) -> bool:
    """Whether `node` is of another operator domain, or has a subgraph."""
    has_subgraph = any(attribute.type == ir.AttributeType.GRAPH for attribute in node.attributes.values())
    return bool(node.domain) or has_subgraph


def lossy_nodes(core: Core) -> Iterator[ir.Node]:
    """Yield the nodes of the core with a float constant that loses more than LOST_SHARE in float16."""
    for node in core.nodes:
        for index, value in float_inputs(node):
            array = constant(value)
            if array is not None and lost_share(array) > (1 if index in ADDITIVE.get(node.op_type, ()) else LOST_SHARE):
                yield node
                break


def lost_share(array: NDArray[Any]) -> float:
    """The share of the total magnitude of `array` that float16 loses: 1 if all become zero, inf if one overflows."""
    wide = array[np.isfinite(array)].astype(np.float64)
    total = np.abs(wide).sum()
    with np.errstate(over="ignore"):
        return float(np.abs(wide.astype(np.float16) - wide).sum() / total) if total else 0.0


def decomposed_normalisation(node: ir.Node) -> set[ir.Node]:
    """The nodes of (x - mean) / sqrt(mean of its square + eps), if `node` is that division; else none."""
    dividend = node.inputs[0].producer() if node.op_type == "Div" and node.inputs[0] is not None else None
    if dividend is None or dividend.op_type != "Sub" or dividend.inputs[0] is None:
        return set()
    parts = ancestors((node.outputs[0],), dividend.inputs[0])
    operators = [part.op_type for part in parts]
    is_complete = (
        set(operators) <= DECOMPOSED | {"Constant"} and "Sqrt" in operators and operators.count("ReduceMean") == 2
    )
    return parts if is_complete else set()


def float_inputs(node: ir.Node) -> Iterator[tuple[int, ir.Value]]:
    """Index and value of each input of `node` that is converted with it."""
    fixed = SPECIFIED_FLOAT32.get(node.op_type, ())
    for index, value in enumerate(node.inputs):
        if value is not None and index not in fixed and is_float_like(value):
            yield index, value


def is_float_like(value: ir.Value) -> bool:
    """Whether `value` is float32, by its own type or by that of its constant tensor."""
    return is_float(value) or (value.const_value is not None and value.const_value.dtype == ir.DataType.FLOAT)


def narrow_inputs(graph: ir.Graph, halves: set[ir.Node]) -> None:
    """Give every node of `halves` float16 inputs: converted weights, and one Cast per tensor of a float32 node."""
    converted: dict[ir.Value, ir.Value] = {}
    for node in [node for node in graph if node in halves]:
        for index, value in list(float_inputs(node)):
            if value.producer() not in halves:
                if value not in converted:
                    converted[value] = half_of(graph, value)
                node.replace_input_with(index, converted[value])


def half_of(graph: ir.Graph, value: ir.Value) -> ir.Value:
    """`value` in float16: a new constant, or the output of a Cast."""
    array = constant(value)
    if array is not None:
        return add_constant(graph, f"{value.name}_half", array.astype(np.float16))
    return cast_behind(graph, value, ir.DataType.FLOAT16, f"{value.name}_half")


def widen_outputs(graph: ir.Graph, halves: set[ir.Node]) -> None:
    """Set the outputs of `halves` to float16, and cast them back for all other readers, under the same names."""
    for node in [node for node in graph if node in halves]:
        if node.op_type == "Cast":
            node.attributes.add(ir.AttrInt64("to", ir.DataType.FLOAT16))
        for value in node.outputs:
            if is_float(value):
                value.dtype = ir.DataType.FLOAT16
                widen(graph, value, halves)


def widen(graph: ir.Graph, value: ir.Value, halves: set[ir.Node]) -> None:
    """Let the readers outside `halves` read a float32 copy of `value`, which takes its name."""
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
    """The output `name` of a new Cast, right behind the producer of `value`."""
    cast = new_node("Cast", [value], {"to": to}, name=f"{name}/Cast", output=name, dtype=to, shape=value.shape)
    insert_behind(graph, value, [cast])
    return cast.outputs[0]
