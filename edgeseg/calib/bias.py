"""Bias correction: subtract from each bias what rounding the weights adds to the layer's mean output.

Nagel et al. 2019 (arXiv 1906.04721, section 4.2). Rounding changes a weight by eps, and so the mean output of a channel
by E[eps . x] = eps . E[x], the sum over kernel and input channels. The range table has E[x] by channel, measured on the
float network, so no image is needed. Zero padding is ignored: it affects few positions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.calib.range import RangeTable
from edgeseg.errors import MismatchError
from edgeseg.graph.core import add_constant, constant
from edgeseg.graph.identity import tensor_ids
from edgeseg.graph.qdq import CONVOLUTIONS, DEQUANTIZE, WEIGHTED

Floats = NDArray[np.float64]


def correct_biases(quantised: ir.Model, model: ir.Model, table: RangeTable) -> ir.Model:
    """Correct the biases of the canonical graph `quantised`, in place. model: the float graph that it was made from.

    A convolution or Gemm without a bias gets one. The bias of a MatMul is a constant that is added directly to its
    output; without one the MatMul is not corrected, because an addition would cost time. MismatchError where `table` is
    of another network or has no statistics by channel.
    """
    table.check(model)
    check_channels(table)
    before = {node.outputs[0].name: node for node in model.graph}
    means = channel_means(model, table)
    for node in list(quantised_nodes(quantised)):
        source = before[node.outputs[0].name]
        mean = means.get(str(cast(ir.Value, source.inputs[0]).name))
        if mean is not None and sums_over_channels(source):
            add_to_bias(quantised.graph, node, -shift_of_mean(source, rounding_error(source, node), mean))
    return quantised


def has_channels(table: RangeTable) -> bool:
    """Whether `table` has statistics by channel; a table of an older version has none."""
    return any(stats.channels for stats in table.tensors.values())


def check_channels(table: RangeTable) -> None:
    """Raise MismatchError where `table` has no statistics by channel."""
    if not has_channels(table):
        raise MismatchError(
            f"the range table of {table.model} has no statistics by channel",
            hint="make it again with edgeseg calibrate",
            code="ES-RANGES-CHANNELS",
        )


def channel_means(model: ir.Model, table: RangeTable) -> dict[str, Floats]:
    """Tensor name -> mean by channel, (C,), for the tensors that have statistics by channel."""
    rows = ((name, table.tensors.get(key)) for name, key in tensor_ids(model).items())
    return {name: row.channels.mean.astype(np.float64) for name, row in rows if row is not None and row.channels}


def quantised_nodes(model: ir.Model) -> Iterator[ir.Node]:
    """The convolutions and matrix products with int8 weights."""
    for node in model.graph:
        weight = node.inputs[1] if node.op_type in WEIGHTED else None
        producer = None if weight is None else weight.producer()
        if producer is not None and producer.op_type == DEQUANTIZE:
            yield node


def sums_over_channels(node: ir.Node) -> bool:
    """Whether the weight of `node` sums over the channels of its input: not for stacks and transposed inputs.

    Nor in the product of a map (N, C, H, W), which sums over columns, as in a pooling to bins.
    """
    if node.op_type in CONVOLUTIONS:
        return True
    shape = cast(ir.Value, node.inputs[0]).shape
    if shape is not None and len(shape) == 4:
        return False
    transposed = node.op_type == "Gemm" and node.attributes.get_int("transA", 0)
    return not transposed and cast("NDArray[np.float32]", constant(node.inputs[1])).ndim == 2


def rounding_error(source: ir.Node, node: ir.Node) -> Floats:
    """The dequantised weight of `node` minus the weight of its float `source`."""
    dequantize = cast(ir.Node, cast(ir.Value, node.inputs[1]).producer())
    codes, scales = (cast("NDArray[np.float32]", constant(value)) for value in dequantize.inputs[:2])
    axis = dequantize.attributes.get_int("axis", 1)
    scales = np.expand_dims(scales, [other for other in range(codes.ndim) if other != axis % codes.ndim])
    error: Floats = codes.astype(np.float64) * scales - cast("NDArray[np.float32]", constant(source.inputs[1]))
    return error


def shift_of_mean(source: ir.Node, error: Floats, mean: Floats) -> Floats:
    """The change of the mean of each output channel, (O,), by the weight `error`."""
    if source.op_type == "Conv":
        groups = source.attributes.get_int("group", 1)
        summed = error.sum(axis=tuple(range(2, error.ndim)))  # (O, I / groups)
        shift: Floats = np.einsum("goi,gi->go", summed.reshape(groups, -1, summed.shape[1]), mean.reshape(groups, -1))
        return shift.reshape(-1)
    if source.op_type == "ConvTranspose":  # (I, O, h, w): a position of the output has a part of the places
        places = math.prod(source.attributes.get_ints("strides", (1, 1)))
        spread: Floats = mean @ error.sum(axis=(2, 3)) / places
        return spread
    transposed = source.op_type == "Gemm" and source.attributes.get_int("transB", 0)
    alpha = source.attributes.get_float("alpha", 1.0) if source.op_type == "Gemm" else 1.0
    product: Floats = alpha * (error @ mean if transposed else mean @ error)
    return product


def add_to_bias(graph: ir.Graph, node: ir.Node, change: Floats) -> None:
    """Add `change` (O,) to the bias of `node`."""
    if node.op_type == "MatMul":
        addition = constant_addition(node)
        if addition is not None:
            change_constant(graph, *addition, change)
    elif len(node.inputs) > 2 and node.inputs[2] is not None:
        beta = node.attributes.get_float("beta", 1.0) if node.op_type == "Gemm" else 1.0
        change_constant(graph, node, 2, change / beta)
    else:
        append_bias(graph, node, change)


def constant_addition(node: ir.Node) -> tuple[ir.Node, int] | None:
    """The Add that is the only reader of `node`, and the index of its constant input; None without such an Add."""
    uses = list(node.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add" or constant(uses[0].node.inputs[1 - uses[0].idx]) is None:
        return None
    return uses[0].node, 1 - uses[0].idx


def change_constant(graph: ir.Graph, node: ir.Node, index: int, change: Floats) -> None:
    """Replace the constant input `index` of `node` by its sum with `change`, for this node only."""
    old = cast(ir.Value, node.inputs[index])
    values = cast("NDArray[np.float32]", constant(old)) + change
    node.replace_input_with(index, add_constant(graph, bias_name(node), values.astype(np.float32)))
    if old.is_initializer() and not old.uses():
        del graph.initializers[str(old.name)]


def append_bias(graph: ir.Graph, node: ir.Node, bias: Floats) -> None:
    """Give `bias` to `node`, which has none."""
    node.resize_inputs(3)
    node.replace_input_with(2, add_constant(graph, bias_name(node), bias.astype(np.float32)))


def bias_name(node: ir.Node) -> str:
    """The name of the corrected bias."""
    return f"{node.name or node.outputs[0].name}/bias_corrected"
