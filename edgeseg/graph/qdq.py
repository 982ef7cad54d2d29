"""Q/DQ pairs in a graph: the canonical form, which TensorRT compiles as it stands and every other form is made from.

Symmetric int8 with zero point 0 and float32 scales, weights per output channel, biases float. One pair a tensor, which
all consumers share: the pair of a tensor never stands twice, and nothing stands between a convolution and its ReLU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.errors import FormatError
from edgeseg.graph.core import constant

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
WEIGHTED = {"Conv", "MatMul", "Gemm"}
LEVELS = 127
# ONNX Runtime makes the bias an int32 of scale (activation * weight). Below this it cannot overflow, even where the
# lowering halves the activation's scale.
MAX_BIAS_QUANTA = 1 << 29
SMALLEST_SCALE = np.finfo(np.float32).tiny  # runtimes take smaller numbers for 0, and divide by it


@dataclass(frozen=True)
class Encoding:
    """How a float tensor is written in 8 bits: value = (code - zero_point) * scale. dtype: np.int8 or np.uint8."""

    scale: float
    zero_point: int = 0
    dtype: type[np.int8] | type[np.uint8] = np.int8


@dataclass(frozen=True)
class Pair:
    """One Q/DQ pair on an activation."""

    quantize: ir.Node
    dequantize: ir.Node

    @property
    def tensor(self) -> ir.Value:
        """The float tensor that goes in."""
        return cast(ir.Value, self.quantize.inputs[0])


def insert_qdq(model: ir.Model, scales: Mapping[str, float], weighted: Iterable[ir.Node]) -> ir.Model:
    """Put a canonical pair on each tensor named in `scales`, and int8 weights into each node of `weighted`, in place.

    weighted: Conv, MatMul or Gemm whose first input is in `scales`. FormatError where the graph has pairs already.
    """
    taken = next((node for node in model.graph if node.op_type in (QUANTIZE, DEQUANTIZE)), None)
    if taken is not None:
        raise FormatError(f"this graph is quantised already: it has {taken.name}", hint="quantize the float ONNX")
    for node in weighted:
        activation = cast(ir.Value, node.inputs[0])
        quantize_weight(model.graph, node, scales[str(activation.name)])
    values = {value.name: value for node in model.graph for value in node.outputs}
    values.update({value.name: value for value in model.graph.inputs})
    for name, scale in scales.items():
        insert_pair(model.graph, values[name], Encoding(scale))
    return model


def insert_pair(graph: ir.Graph, value: ir.Value, encoding: Encoding) -> Pair:
    """Put one pair on `value`, for all who read it. The graph's output stays float, before the pair."""
    scale, zero = encoding_constants(graph, f"{value.name}", encoding)
    quantize = ir.node(QUANTIZE, [value, scale, zero], name=f"{value.name}/{QUANTIZE}")
    dequantize = ir.node(DEQUANTIZE, [quantize.outputs[0], scale, zero], name=f"{value.name}/{DEQUANTIZE}")
    quantize.outputs[0].name, dequantize.outputs[0].name = f"{value.name}_quantized", f"{value.name}_dequantized"
    quantize.outputs[0].dtype, quantize.outputs[0].shape = zero.dtype, value.shape
    dequantize.outputs[0].dtype, dequantize.outputs[0].shape = ir.DataType.FLOAT, value.shape
    for node, index in value.uses():
        if node is not quantize:
            node.replace_input_with(index, dequantize.outputs[0])
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], [quantize, dequantize])
    else:
        graph.insert_after(producer, [quantize, dequantize])
    return Pair(quantize, dequantize)


def encoding_constants(graph: ir.Graph, name: str, encoding: Encoding) -> tuple[ir.Value, ir.Value]:
    """Scale and zero point as initializers, one of each a tensor."""
    return (
        add_constant(graph, f"{name}_scale", np.float32(encoding.scale)),
        add_constant(graph, f"{name}_zero_point", encoding.dtype(encoding.zero_point)),
    )


def quantize_weight(graph: ir.Graph, node: ir.Node, activation_scale: float) -> None:
    """Replace the weight of `node` by int8 codes and a DequantizeLinear, one scale an output channel."""
    weight = cast(ir.Value, node.inputs[1])
    values = cast("NDArray[np.float32]", constant(weight))
    axis = weight_axis(node)
    scales = weight_scales(values, axis, bias_limits(node) / activation_scale)
    along = np.expand_dims(scales, [other for other in range(values.ndim) if other != axis])
    codes = np.clip(np.round(values / along), -LEVELS, LEVELS).astype(np.int8)
    name = node.name or str(node.outputs[0].name)
    inputs = [
        add_constant(graph, f"{name}/weight_quantized", codes),
        add_constant(graph, f"{name}/weight_scale", scales),
        add_constant(graph, f"{name}/weight_zero_point", np.zeros(len(scales), np.int8)),
    ]
    dequantize = ir.node(DEQUANTIZE, inputs, {"axis": axis}, name=f"{name}/weight/{DEQUANTIZE}")
    output = dequantize.outputs[0]
    output.name, output.dtype, output.shape = f"{name}/weight_dequantized", ir.DataType.FLOAT, ir.Shape(values.shape)
    graph.insert_before(node, dequantize)
    node.replace_input_with(1, output)
    if not weight.uses() and weight.is_initializer():
        del graph.initializers[str(weight.name)]


def weight_axis(node: ir.Node) -> int:
    """The axis of the weight that counts output channels."""
    if node.op_type == "Conv":
        return 0
    rank = cast("NDArray[Any]", constant(node.inputs[1])).ndim
    transposed = node.op_type == "Gemm" and node.attributes.get_int("transB", 0)
    return 0 if transposed else rank - 1


def weight_scales(values: NDArray[np.float32], axis: int, least: NDArray[np.float64] | float) -> NDArray[np.float32]:
    """One scale a channel: its largest magnitude over 127, at least `least`; 1 for a channel of zeros.

    A channel below the smallest normal float32, as a batch norm leaves of a dead one, counts as zeros.
    """
    others = tuple(other for other in range(values.ndim) if other != axis)
    scales = np.maximum(np.abs(values).max(axis=others) / LEVELS, least).astype(np.float32)
    return np.where(scales >= SMALLEST_SCALE, scales, np.float32(1))


def bias_limits(node: ir.Node) -> NDArray[np.float64] | float:
    """The least (activation scale * weight scale) by channel that keeps an int32 bias from overflowing."""
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return 0.0 if bias is None else np.abs(bias.astype(np.float64)).reshape(-1) / MAX_BIAS_QUANTA


def add_constant(graph: ir.Graph, name: str, values: Any) -> ir.Value:
    """A new initializer of `graph`."""
    array = np.asarray(values)
    value = ir.val(name, const_value=ir.tensor(array, name=name))
    value.dtype, value.shape = ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape)
    graph.register_initializer(value)
    return value


def pairs(model: ir.Model) -> Iterator[Pair]:
    """Every pair on an activation, in the graph's order."""
    for node in model.graph:
        if node.op_type == QUANTIZE and constant(node.inputs[0]) is None:
            for user in node.outputs[0].consumers():
                if user.op_type == DEQUANTIZE:
                    yield Pair(node, user)
