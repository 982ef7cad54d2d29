"""Q/DQ pairs in a graph: the canonical form, which TensorRT compiles directly and every other form is derived from.

Symmetric int8 with zero point 0 and float32 scales; weights per output channel; biases float. Each tensor has at most
one pair, which all its readers share but comparisons, and there is no pair between a convolution and its ReLU.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeseg.errors import FormatError
from edgeseg.graph.core import add_constant, constant, insert_behind, new_node

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
CONVOLUTIONS = {"Conv", "ConvTranspose"}
WEIGHTED = CONVOLUTIONS | {"MatMul", "Gemm"}
CANONICAL_OPS = frozenset({"Conv", "MatMul", "Gemm"})  # TensorRT has int8 for some transposed convolutions alone
SHAPE_ONLY_OPS = frozenset(
    {"Flatten", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze"}
)  # they compute no value
COMPARISONS = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}
LEVELS = 127
# Of a weight whose products with uint8 are added in pairs in 16 bits: 2 * 255 * 64 is less than 2 ** 15.
NARROW_LEVELS = 64
# ONNX Runtime quantises the bias to int32 with the scale (activation scale * weight scale). With fewer quanta than this
# it cannot overflow, even if the lowering halves the activation's scale.
MAX_BIAS_QUANTA = 1 << 29
SMALLEST_SCALE = np.finfo(np.float32).tiny  # runtimes flush smaller numbers to 0, and divide by it


@dataclass(frozen=True)
class Encoding:
    """An 8-bit encoding of a float tensor: value = (code - zero_point) * scale. dtype: np.int8 or np.uint8."""

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
        """The float tensor that is quantised."""
        return cast(ir.Value, self.quantize.inputs[0])

    def bypass(self) -> None:
        """Let all readers of the pair read the float tensor instead."""
        for node, index in self.dequantize.outputs[0].uses():
            node.replace_input_with(index, self.tensor)


def insert_qdq(
    model: ir.Model, scales: Mapping[str, float], weighted: Iterable[ir.Node], levels: int = LEVELS
) -> ir.Model:
    """Insert a canonical pair on each tensor named in `scales`, and int8 weights in each node of `weighted`, in place.

    weighted: nodes of WEIGHTED whose first input is in `scales`. levels: the largest code of a weight.
    FormatError if the graph is quantised already.
    """
    quantised = next((node for node in model.graph if node.op_type in (QUANTIZE, DEQUANTIZE)), None)
    if quantised is not None:
        message = f"this graph is quantised already: it has {quantised.name}"
        raise FormatError(message, hint="quantize the float ONNX", code="ES-QUANTISED")
    for node in weighted:
        activation = cast(ir.Value, node.inputs[0])
        quantize_weight(model.graph, node, scales[str(activation.name)], levels)
    values = {value.name: value for node in model.graph for value in node.outputs}
    values.update({value.name: value for value in model.graph.inputs})
    for name, scale in scales.items():
        insert_pair(model.graph, values[name], Encoding(scale))
    RemoveUnusedNodesPass()(model)  # the float weights
    return model


def insert_pair(graph: ir.Graph, value: ir.Value, encoding: Encoding) -> Pair:
    """Insert one pair on `value`, for all its readers but those that compare. An output of the graph stays float."""
    scale, zero = encoding_constants(graph, str(value.name), encoding)
    readers, shape, name = [use for use in value.uses() if not compares(use.node)], value.shape, value.name
    quantize = new_node(
        QUANTIZE, [value, scale, zero], name=f"{name}/{QUANTIZE}", output=f"{name}_quantized",
        dtype=zero.dtype, shape=shape,
    )  # fmt: skip
    dequantize = new_node(
        DEQUANTIZE, [quantize.outputs[0], scale, zero], name=f"{name}/{DEQUANTIZE}", output=f"{name}_dequantized",
        dtype=ir.DataType.FLOAT, shape=shape,
    )  # fmt: skip
    for node, index in readers:
        node.replace_input_with(index, dequantize.outputs[0])
    insert_behind(graph, value, [quantize, dequantize])
    return Pair(quantize, dequantize)


def compares(node: ir.Node) -> bool:
    """Whether `node` compares its input, or takes parts of it that are then compared, as a max pooling with places.

    Of equal codes the first would win, where the float values differ.
    """
    if node.op_type in COMPARISONS:
        return True
    return node.op_type in ("Pad", "Slice") and any(compares(user) for user in node.outputs[0].consumers())


def encoding_constants(graph: ir.Graph, name: str, encoding: Encoding) -> tuple[ir.Value, ir.Value]:
    """Scale and zero point of the tensor `name`, as initializers."""
    return (
        add_constant(graph, f"{name}_scale", np.float32(encoding.scale)),
        add_constant(graph, f"{name}_zero_point", encoding.dtype(encoding.zero_point)),
    )


def quantize_weight(graph: ir.Graph, node: ir.Node, activation_scale: float, levels: int = LEVELS) -> None:
    """Replace the weight of `node` by int8 codes and a DequantizeLinear, with one scale per output channel."""
    weight = cast(ir.Value, node.inputs[1])
    values = cast("NDArray[np.float32]", constant(weight))
    axis = weight_axis(node)
    scales = weight_scales(values, axis, bias_limits(node) / activation_scale, levels)
    divisors = np.expand_dims(scales, [other for other in range(values.ndim) if other != axis])
    codes = np.clip(np.round(values / divisors), -levels, levels).astype(np.int8)
    name = node.name or str(node.outputs[0].name)
    inputs = [
        add_constant(graph, f"{name}/weight_quantized", codes),
        add_constant(graph, f"{name}/weight_scale", scales),
        add_constant(graph, f"{name}/weight_zero_point", np.zeros(len(scales), np.int8)),
    ]
    dequantize = new_node(
        DEQUANTIZE, inputs, {"axis": axis}, name=f"{name}/weight/{DEQUANTIZE}", output=f"{name}/weight_dequantized",
        dtype=ir.DataType.FLOAT, shape=values.shape,
    )  # fmt: skip
    graph.insert_before(node, dequantize)
    node.replace_input_with(1, dequantize.outputs[0])


def weight_axis(node: ir.Node) -> int:
    """The axis of the output channels in the weight."""
    if node.op_type in CONVOLUTIONS:
        return int(node.op_type == "ConvTranspose")  # whose weight is (I, O, height, width)
    rank = cast("NDArray[Any]", constant(node.inputs[1])).ndim
    transposed = node.op_type == "Gemm" and node.attributes.get_int("transB", 0)
    return 0 if transposed else rank - 1


def weight_scales(
    values: NDArray[np.float32], axis: int, minimum: NDArray[np.float64] | float, levels: int = LEVELS
) -> NDArray[np.float32]:
    """One scale per channel: its largest magnitude / `levels`, at least `minimum`; 1 for a channel of zeros.

    A channel below the smallest normal float32 (a dead channel behind a batch norm) counts as zeros.
    """
    others = tuple(other for other in range(values.ndim) if other != axis)
    scales = np.maximum(np.abs(values).max(axis=others) / levels, minimum).astype(np.float32)
    return np.where(scales >= SMALLEST_SCALE, scales, np.float32(1))


def bias_limits(node: ir.Node) -> NDArray[np.float64] | float:
    """Per channel, the smallest (activation scale * weight scale) with which an int32 bias does not overflow."""
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    return 0.0 if bias is None else np.abs(bias.astype(np.float64)).reshape(-1) / MAX_BIAS_QUANTA


def pairs(model: ir.Model) -> Iterator[Pair]:
    """Yield every pair on an activation, in the graph's order."""
    for node in model.graph:
        if node.op_type == QUANTIZE and constant(node.inputs[0]) is None:
            for user in node.outputs[0].consumers():
                if user.op_type == DEQUANTIZE:
                    yield Pair(node, user)
