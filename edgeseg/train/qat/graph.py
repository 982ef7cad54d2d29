"""A deploy ONNX as torch steps from a frame to the logits: in float, and with differentiable Q/DQ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from torch import Tensor

from edgeseg.calib.placement import layout_for
from edgeseg.calib.quantize import quantize_canonical, scales_from_table
from edgeseg.calib.range import RangeTable
from edgeseg.engines.pytorch import Step, constants_of, step_from_node, steps_from_graph
from edgeseg.errors import FormatError
from edgeseg.graph.core import LOGITS, core_from_model
from edgeseg.graph.lower_qdq import lower_qdq
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, WEIGHTED, weight_axis
from edgeseg.train.qat.rounding import WeightRounding, rounded_activation

# Operator -> which of its inputs are trained where they are constant. Not the statistics of a batch norm.
TRAINABLE_INPUTS = {
    **dict.fromkeys((*WEIGHTED, "LayerNormalization", "BatchNormalization"), (1, 2)),
    "Add": (0, 1),  # the bias of a matrix product
}
Weights = dict[str, Tensor]


@dataclass(frozen=True)
class TorchGraph:
    """Steps from the frame `input` (1, H, W, 3) uint8 to `output`, the logits (1, C, h, w)."""

    steps: tuple[Step, ...]
    constants: Mapping[str, Tensor]
    input: str
    output: str

    def __call__(self, rgb: Tensor, weights: Mapping[str, Tensor] | None = None) -> Tensor:
        """The logits of one frame. weights: tensors that the steps read besides the constants."""
        values: dict[str, Any] = {**self.constants, **(weights or {}), self.input: rgb}
        for step in self.steps:
            step.run(values)
        logits: Tensor = values[self.output]
        return logits


def float_graph(proto: Any) -> TorchGraph:
    """The graph without quantisation."""
    return torch_graph(ir.from_proto(proto), frozenset(), step_from_node)


def rounding_graph(proto: Any, table: RangeTable, weights: Weights, *, target: str, observer: str) -> TorchGraph:
    """The graph that `quantize` writes for `target`; it rounds the float `weights` as `quantize` does."""
    model = ir.from_proto(proto)
    scales = scales_from_table(model, table, observer)
    layout = layout_for(target)
    quantize_canonical(model, scales, layout)
    if layout is not None:
        lower_qdq(model, layout, scales)
    weight_rounding = weight_steps(model, ir.from_proto(proto), scales)
    if not weight_rounding:
        raise FormatError("quantize leaves every layer of this graph float", hint="no layer can be fine-tuned for int8")
    quantised = {node.output[0] for node in ir.to_proto(model).graph.node if node.op_type == QUANTIZE}

    def step(node: Any) -> Step:
        if node.op_type == DEQUANTIZE and node.output[0] in weight_rounding:
            return weight_rounding[node.output[0]]
        if node.op_type == QUANTIZE:
            return Step(rounded_activation, tuple(node.input), tuple(node.output))
        if node.op_type == DEQUANTIZE and node.input[0] in quantised:
            return Step(lambda x: x, tuple(node.input[:1]), tuple(node.output))
        return step_from_node(node)

    return torch_graph(model, frozenset(weights), step)


def torch_graph(model: ir.Model, free: frozenset[str], make: Callable[[Any], Step]) -> TorchGraph:
    """The steps of `model` to its logits. free: initialisers that each call receives."""
    graph, logits = model.graph, logits_of(model)
    (frame,) = [value for value in graph.inputs if value.name not in graph.initializers]
    graph.outputs[:] = [logits]
    RemoveUnusedNodesPass()(model)
    proto = ir.to_proto(model).graph
    constants = {name: value for name, value in constants_of(proto).items() if name not in free}
    steps = steps_from_graph(proto, constants, make)
    return TorchGraph(tuple(steps), constants, str(frame.name), str(logits.name))


def logits_of(model: ir.Model) -> ir.Value:
    """The logits, before upsampling and argmax. FormatError where the graph has several heads."""
    named = [value for node in model.graph for value in node.outputs if value.name == LOGITS]
    heads = named or core_from_model(model).outputs
    if len(heads) != 1:
        raise FormatError(f"this graph has {len(heads)} heads", hint="keep one: edgeseg adopt FILE --output NAME")
    return heads[0]


def weight_steps(quantised: ir.Model, model: ir.Model, scales: Mapping[str, float]) -> dict[str, Step]:
    """Output of each weight's DequantizeLinear in `quantised` -> the step that rounds the float weight instead."""
    nodes = {node.outputs[0].name: node for node in model.graph}
    steps = {}
    for node in quantised.graph:
        weight = node.inputs[1] if node.op_type in WEIGHTED else None
        producer = None if weight is None else weight.producer()
        if weight is not None and producer is not None and producer.op_type == DEQUANTIZE:
            source = nodes[node.outputs[0].name]
            rounding = WeightRounding(weight_axis(source), scales[str(cast(ir.Value, source.inputs[0]).name)])
            read = [str(value.name) for value in map(initializer, source.inputs[1:3]) if value is not None]
            steps[str(weight.name)] = Step(rounding, tuple(read), (str(weight.name),))
    return steps


def weights_from_onnx(proto: Any) -> Weights:
    """The float initialisers to train, by name: weights, biases, and scale and shift of norms."""
    core = core_from_model(ir.from_proto(proto))
    inputs = [(node, index) for node in core.nodes for index in TRAINABLE_INPUTS.get(node.op_type, ())]
    values = [initializer(node.inputs[index]) for node, index in inputs if index < len(node.inputs)]
    names = dict.fromkeys(str(value.name) for value in values if value is not None and is_trainable(value))
    constants = constants_of(proto.graph)
    return {name: constants[name].clone().requires_grad_() for name in names}


def initializer(value: ir.Value | None) -> ir.Value | None:
    """The initialiser behind `value` and Identity nodes; None for a computed value."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type != "Identity":
            return None
        value = node.inputs[0]
    return value if value is not None and value.is_initializer() else None


def is_trainable(value: ir.Value) -> bool:
    """Whether an initialiser is a float tensor of several values: a single value is an epsilon or a factor."""
    return value.dtype == ir.DataType.FLOAT and value.shape is not None and np.prod(value.shape.numpy()) > 1


def onnx_with_weights(proto: Any, weights: Mapping[str, Tensor]) -> Any:
    """A copy of the ONNX with these weights."""
    from onnx import ModelProto, numpy_helper

    tuned = ModelProto()
    tuned.CopyFrom(proto)
    for tensor in tuned.graph.initializer:
        if tensor.name in weights:
            tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name].detach().numpy(), tensor.name))
    return tuned


def without_constant_nodes(proto: Any) -> Any:
    """The ONNX with its Constant nodes, which other exporters write, as initialisers."""
    from onnx_ir.passes.common import LiftConstantsToInitializersPass

    if not any(node.op_type == "Constant" for node in proto.graph.node):
        return proto
    model = ir.from_proto(proto)
    LiftConstantsToInitializersPass()(model)
    return ir.to_proto(model)
