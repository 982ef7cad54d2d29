"""Rewrite the canonical Q/DQ form for CPU runtimes: unsigned codes, and pairs on outputs so that nodes fuse.

x86 multiplies unsigned by signed bytes. A tensor that cannot be negative gets uint8 with zero point 0 and twice the
resolution (scale * 127 / 255: the same largest value). Every other tensor gets uint8 with zero point 128 and the same
scale, which covers the same values. Weights do not change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeseg.graph.core import Core, behind, constant, core_from_model, first_input, is_float, is_read_once, made_by
from edgeseg.graph.fold_input_normalisation import fold_input_normalisation
from edgeseg.graph.move_qdq import drop_pairs_of_float_sums, hoist_pairs, is_quantised
from edgeseg.graph.qdq import (
    CANONICAL_OPS,
    CONVOLUTIONS,
    DEQUANTIZE,
    LEVELS,
    QUANTIZE,
    WEIGHTED,
    Encoding,
    Pair,
    compares,
    encoding_constants,
    insert_pair,
    pairs,
    weight_axis,
)
from edgeseg.graph.tokens import transpose_before_flattening

UNSIGNED_LEVELS = 255
MISCOMPUTED_CHANNELS = 64
NON_NEGATIVE = {"Relu", "Sigmoid", "Softmax", "Abs", "HardSigmoid"}
KEEPS_SIGN = {
    *("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax", "Transpose", "Resize"),
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Slice", "Split", "Identity", QUANTIZE, DEQUANTIZE),
}
COMBINES_SIGN = {"Concat", "Add", "Mul"}
SLOPED = {"LeakyRelu", "PRelu"}
ACTIVATIONS = SLOPED | {"Relu"}
KEEPS_CHANNELS = {"Concat", "MaxPool", "AveragePool", "Resize"}  # each output channel is an input channel


@dataclass(frozen=True)
class Layout:
    """Where a runtime needs pairs in addition to the canonical places.

    inputs, outputs: operators whose activations get pairs on that side, behind a ReLU or ReLU6 where there is one.
    float_inputs: operators that read the float tensor if they pad it and the code 0 does not stand for zero.
    shape_only_ops: operators that compute no value; pairs move before them.
    weighted: operators whose weights become int8. int8_logits: so does the layer that gives the logits.
    activated_sums: a pair on the activation of a convolution that is added to an int8 tensor, see `summand`.
    float_sums: drop the pairs before an addition whose sum stays float.
    tokens_last: transpose a map before it is flattened to tokens.
    uint8_input: the first convolutions read the uint8 frame, with a border of the mean colour instead of padding.
    float_kernels: convolutions that the runtime computes wrongly stay float, see `is_miscomputed`.
    float_outputs: operators whose output the runtime rounds wrongly, see `is_rounded_wrongly`.
    saturates: it adds pairs of products in 16 bits on processors that have no instruction for more.
    """

    inputs: frozenset[str] = frozenset()
    outputs: frozenset[str] = frozenset()
    float_inputs: frozenset[str] = frozenset()
    shape_only_ops: frozenset[str] = frozenset()
    weighted: frozenset[str] = CANONICAL_OPS
    int8_logits: bool = False
    activated_sums: bool = False
    float_sums: bool = False
    tokens_last: bool = False
    uint8_input: bool = False
    float_kernels: bool = False
    float_outputs: frozenset[str] = frozenset()
    saturates: bool = False


def lower_qdq(model: ir.Model, layout: Layout, scales: Mapping[str, float] | None = None) -> ir.Model:
    """Rewrite the canonical `model` for a CPU runtime, in place.

    scales: tensor name -> symmetric int8 scale, for the pairs that `layout` adds; a tensor without one gets no pair.
    """
    core = core_from_model(model)
    scales = scales or {}
    if layout.float_sums:
        drop_pairs_of_float_sums(model)
    for value in extra_tensors(core, layout):
        if value.name in scales:
            insert_pair(model.graph, value, Encoding(scales[value.name]))
    hoist_pairs(model, layout.shape_only_ops)
    if layout.tokens_last:
        transpose_before_flattening(model)
    if layout.uint8_input:
        fold_input_normalisation(model.graph, core.input)
    for pair in list(pairs(model)):
        recode(model.graph, pair)
        for node, index in pair.dequantize.outputs[0].uses():
            if node.op_type in layout.float_inputs and pads_codes(node, pair):
                node.replace_input_with(index, pair.tensor)
    RemoveUnusedNodesPass()(model)
    return model


def recode(graph: ir.Graph, pair: Pair) -> None:
    """Change a canonical pair to unsigned codes, in place."""
    scale, zero = cast("tuple[ir.Value, ir.Value]", tuple(pair.quantize.inputs[1:3]))
    encoding = unsigned_encoding(float(cast(np.ndarray, constant(scale))), non_negative=is_non_negative(pair.tensor))
    for old in (scale, zero):
        del graph.initializers[str(old.name)]
    for index, new in enumerate(encoding_constants(graph, str(pair.tensor.name), encoding), start=1):
        pair.quantize.replace_input_with(index, new)
        pair.dequantize.replace_input_with(index, new)
    pair.quantize.outputs[0].dtype = ir.DataType.UINT8


def pads_codes(node: ir.Node, pair: Pair) -> bool:
    """Whether the pooling `node` pads its input, and the zero point of `pair` is not 0."""
    padded = any(node.attributes.get_ints("pads", ())) or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"
    return padded and bool(np.any(constant(pair.quantize.inputs[2])))


def unsigned_encoding(scale: float, *, non_negative: bool) -> Encoding:
    """The uint8 encoding with the range of symmetric int8 at `scale`, or its upper half if `non_negative`."""
    if non_negative:
        return Encoding(scale * LEVELS / UNSIGNED_LEVELS, 0, np.uint8)
    return Encoding(scale, 128, np.uint8)


def is_non_negative(value: ir.Value | None) -> bool:
    """Whether the operators before `value` leave no value below zero."""
    node = None if value is None else value.producer()
    if node is None:
        array = constant(value)
        return array is not None and bool(np.all(array >= 0))
    if node.op_type in NON_NEGATIVE:
        return True
    if node.op_type == "Resize" and node.attributes.get_string("mode", "nearest") == "cubic":
        return False  # it overshoots
    if node.op_type in KEEPS_SIGN:
        return is_non_negative(node.inputs[0])
    if node.op_type == "Clip":
        return is_clipped_at_zero(node)
    return node.op_type in COMBINES_SIGN and all(is_non_negative(operand) for operand in node.inputs)


def extra_tensors(core: Core, layout: Layout) -> list[ir.Value]:
    """The activations that `layout` adds a pair on, in the graph's order; none that is normalised, and no logits."""
    wanted = {value for node in core.nodes for value in wanted_tensors(node, core, layout)}
    if layout.activated_sums:
        wanted |= {value for node in core.nodes if (value := summand(node)) is not None}
    unpaired = [value for value in core.activations() if value in wanted and not is_quantised(value)]
    return [value for value in unpaired if not is_normalised(value) and not core.are_logits(value)]


def is_normalised(value: ir.Value) -> bool:
    """Whether each channel of `value` is then multiplied by its own factor, as by a batch norm.

    One scale for all channels would lose the small ones, which the factors make as large as the others.
    """
    return any(
        is_normalisation(node) or (node.op_type in KEEPS_CHANNELS and is_normalised(node.outputs[0]))
        for node in value.consumers()
    )


def is_normalisation(node: ir.Node) -> bool:
    """Whether `node` multiplies each channel by its own factor."""
    factors = [constant(value) for value in node.inputs] if node.op_type in ("Mul", "Div") else []
    return node.op_type == "BatchNormalization" or any(array is not None and array.size > 1 for array in factors)


def unfused_nodes(core: Core, layout: Layout) -> frozenset[str]:
    """The names of the layers without an integer kernel in `layout`.

    Their output is normalised or only compared, or the runtime computes it wrongly, or rounds their input wrongly.
    """
    weighted = [node for node in core.nodes if node.op_type in WEIGHTED and node.op_type in layout.outputs]
    outputs = {str(node.name): with_activation(node.outputs[0]) for node in weighted}
    names = {name for name, output in outputs.items() if is_normalised(output) or is_only_compared(output)}
    if layout.float_kernels:
        names |= {str(node.name) for node in core.nodes if is_miscomputed(node)}
    readers = [node for node in core.nodes if node.op_type in WEIGHTED]
    names |= {str(node.name) for node in readers if is_rounded_wrongly(node.inputs[0], layout)}
    return frozenset(names)


def is_only_compared(value: ir.Value) -> bool:
    """Whether all readers of `value` compare it: it gets no pair, with which the operator before it would fuse."""
    readers = list(value.consumers())
    return bool(readers) and all(compares(reader) for reader in readers)


def is_miscomputed(node: ir.Node) -> bool:
    """Whether OpenVINO may compute an int8 convolution wrongly.

    On processors with AMX its CPU plugin (2026.4.1, brgconv_avx512_amx_I8) does so for some kernels whose width is a
    multiple of 4 where a group has fewer than 64 input channels, at some strides and image sizes; tests/graph has one.
    Transposed convolutions of such kernels were not seen there, and count as such.
    """
    weight = constant(node.inputs[1]) if node.op_type in CONVOLUTIONS else None
    if weight is None or weight.ndim != 4:
        return False
    channels = weight.shape[1 - weight_axis(node)]
    return bool(weight.shape[3] % 4 == 0 and channels < MISCOMPUTED_CHANNELS)


def is_rounded_wrongly(value: ir.Value | None, layout: Layout) -> bool:
    """Whether a pair on `value` would round what an operator of `layout.float_outputs` gives.

    OpenVINO (2026.4.1) moves a pair before a Concat, and fuses it with a ReduceMax, which then gives whole numbers.
    """
    node = None if value is None else value.producer()
    if node is None:
        return False
    if node.op_type in layout.float_outputs:
        return True
    moved = node.op_type in KEEPS_CHANNELS | layout.shape_only_ops
    return moved and any(is_rounded_wrongly(operand, layout) for operand in node.inputs)


def wanted_tensors(node: ir.Node, core: Core, layout: Layout) -> Iterator[ir.Value]:
    """The activations of `node` that `layout` puts pairs on; none if it adds or multiplies by a constant."""
    if node.op_type in ("Add", "Mul") and any(constant(value) is not None for value in node.inputs):
        return
    if node.op_type == "Add" and any(user.op_type in SLOPED for user in node.outputs[0].consumers()):
        return  # no integer kernel takes the sum with its activation: it would be rounded twice
    if node.op_type in layout.inputs and not is_rounded_wrongly(node.outputs[0], layout):
        for value in node.inputs:
            if value is not None and constant(value) is None and is_float(value) and not made_by(value, DEQUANTIZE):
                yield value
    output = with_activation(node.outputs[0])
    computes_int8 = node.op_type not in WEIGHTED or is_int8(node)
    if node.op_type in layout.outputs and output not in core.outputs and computes_int8:
        yield output


def summand(node: ir.Node) -> ir.Value | None:
    """The operand of `node` that is the activation of an int8 convolution; None where it adds no int8 tensors.

    OpenVINO fuses such an addition, and the activation and the pair behind it, with the convolution if the operand is
    rounded first, and the convolution does not read the other one. Else it writes the operand in float, and reads it
    again.
    """
    if node.op_type != "Add" or not is_quantised(behind(node.outputs[0], is_activation)):
        return None
    first, second = cast("tuple[ir.Value, ir.Value]", node.inputs)
    for value, other in ((first, second), (second, first)):
        activation = value.producer()
        if activation is None or not is_activation(activation) or not is_read_once(value):
            continue
        convolution = first_input(activation).producer()
        if convolution is None or convolution.op_type != "Conv" or not is_int8(convolution):
            continue
        if made_by(other, DEQUANTIZE) and first_input(convolution) is not other:
            return value
    return None


def is_activation(node: ir.Node) -> bool:
    """Whether OpenVINO fuses `node` with an addition before it."""
    return node.op_type in ACTIVATIONS


def with_activation(value: ir.Value) -> ir.Value:
    """The output of the ReLU or ReLU6 that is the only reader of `value`, else `value`."""
    return behind(value, lambda node: node.op_type == "Relu" or is_clipped_at_zero(node))


def is_clipped_at_zero(node: ir.Node) -> bool:
    """Whether `node` is a Clip with a minimum of at least 0, such as a ReLU6."""
    minimum = constant(node.inputs[1]) if node.op_type == "Clip" and len(node.inputs) > 1 else None
    return minimum is not None and bool(np.all(minimum >= 0))


def is_int8(node: ir.Node) -> bool:
    """Whether the weight of `node` is quantised."""
    return made_by(node.inputs[1], DEQUANTIZE)
