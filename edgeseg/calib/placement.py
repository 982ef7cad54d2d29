"""Where Q/DQ pairs go: the canonical places, and the further places that each CPU runtime needs.

The canonical places are those that TensorRT fuses: the input of every quantised convolution and matrix product, and one
input of each residual addition, the one that is not the direct output of a convolution (that one is fused with the
addition).

These stay float: the last convolution, which gives the logits, and each one that gives coarser logits or those of
single points; convolutions of a gate, on a single position that multiplies a feature map, as in squeeze-and-excite, or
on one vector for each region, as in OCRNet (tiny and sensitive); products of two activations, which is all of attention
(the probabilities after a Softmax are near 1/N and round to zero); LayerNorm and Softmax; transposed convolutions, of
which TensorRT has only some in int8. A mean that is added to a map instead of multiplying it is not a gate: its
convolution is quantised. Outside the canonical places, no tensor is rounded that a batch norm reads directly or through
a Concat: its channels may have very different magnitudes, and one scale would lose the small ones.

OpenVINO differs in two points. The layer that gives the logits is quantised: only its input and weights are rounded,
the logits are not, and in float a kernel of 3x3 takes several percent of the time. So is each transposed convolution
that gives fewer channels than it takes; one that keeps the channels resizes logits, and one with groups is bilinear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import onnx_ir as ir

from edgeseg.errors import UnknownNameError
from edgeseg.graph.core import Core, constant, core_from_model
from edgeseg.graph.lower_qdq import Layout, unfused_nodes
from edgeseg.graph.qdq import CANONICAL_OPS, SHAPE_ONLY_OPS, WEIGHTED

BOTH_SIDES = frozenset({"Add", "Mul", "Concat", "AveragePool", "MaxPool", "Resize", "Sigmoid"})
CANONICAL = None  # the canonical form is not lowered
TARGETS: dict[str, Layout | None] = {
    "canonical": CANONICAL,
    "tensorrt": CANONICAL,
    "tensorrt_rtx": CANONICAL,
    "pytorch": CANONICAL,
    # ONNX Runtime has an integer kernel for a node only where both its inputs and its outputs are quantised.
    "onnxruntime": Layout(inputs=BOTH_SIDES, outputs=BOTH_SIDES | CANONICAL_OPS, uint8_input=True, saturates=True),
    # OpenVINO fuses the canonical places, and a pair with the node that writes its tensor. Its CPU plugin (2026.4.1)
    # computes wrong values for a padded AveragePool that counts its padding and reads signed codes, and is slower for
    # codes with a zero point other than 0 and 128. Some convolutions it computes wrongly (`is_miscomputed`), and a
    # ReduceMax with a pair behind it (`is_rounded_wrongly`).
    "openvino": Layout(
        inputs=frozenset({"Concat"}),
        float_inputs=frozenset({"AveragePool"}),
        shape_only_ops=SHAPE_ONLY_OPS,
        weighted=CANONICAL_OPS | {"ConvTranspose"},
        int8_logits=True,
        activated_sums=True,
        float_sums=True,
        tokens_last=True,
        uint8_input=True,
        float_kernels=True,
        float_outputs=frozenset({"ReduceMax"}),
        saturates=True,
    ),
}
# TensorRT 8 can read a cache of ranges with the float ONNX: its first line names the release and the calibrator.
CACHES = {"tensorrt8.5": "TRT-8502-EntropyCalibration2", "tensorrt8.6": "TRT-8601-EntropyCalibration2"}
ON_VECTORS = SHAPE_ONLY_OPS | {"Conv", "Relu", "Mul"}
SAME_CODES = SHAPE_ONLY_OPS | {"Resize", "Identity"}


@dataclass(frozen=True)
class Placement:
    """weighted: the nodes that get int8 weights. tensors: the activations that get a pair, in the graph's order."""

    weighted: tuple[ir.Node, ...]
    tensors: tuple[ir.Value, ...]


def layout_for(target: str) -> Layout | None:
    """The Q/DQ layout of `target`; None for the canonical form. UnknownNameError where no target has that name."""
    if target not in TARGETS:
        raise UnknownNameError.among("quantisation target", target, TARGETS)
    return TARGETS[target]


def placement_from_model(
    model: ir.Model, layout: Layout | None = CANONICAL, *, float_nodes: frozenset[str] = frozenset()
) -> Placement:
    """The canonical places in the float graph `model`, of the operators and layers that `layout` has in int8.

    float_nodes: names of further nodes that stay float.
    """
    core, layout = core_from_model(model), layout or Layout()
    stay_float = float_nodes | unfused_nodes(core, layout)
    able = [node for node in core.nodes if node.op_type in layout.weighted and node.name not in stay_float]
    nodes = tuple(node for node in able if is_quantised(node, core, layout))
    chosen = {cast(ir.Value, node.inputs[0]) for node in nodes}
    chosen |= {value for node in core.nodes if (value := residual_input(node, core, nodes)) is not None}
    return Placement(nodes, tuple(value for value in core.activations() if value in chosen))


def is_quantised(node: ir.Node, core: Core, layout: Layout) -> bool:
    """Whether `node` is a convolution or matrix product with a constant weight, and not one that stays float."""
    weight = constant(node.inputs[1]) if node.op_type in WEIGHTED else None
    if weight is None:
        return False
    if node.op_type == "ConvTranspose":
        return node.attributes.get_int("group", 1) == 1 and bool(weight.shape[0] > weight.shape[1])
    output = node.outputs[0]
    if core.are_logits(output) and not (layout.int8_logits and output in core.outputs):
        return False
    return not is_gate(output) and not is_of_regions(output)


def is_gate(value: ir.Value) -> bool:
    """Whether `value` has a single position and multiplies a map, directly or after nodes on one position."""
    if not is_single_position(value):
        return False
    readers = [(node, output) for node in value.consumers() for output in node.outputs]
    return any(is_gate(output) or (node.op_type == "Mul" and is_map(output)) for node, output in readers)


def is_of_regions(value: ir.Value) -> bool:
    """Whether `value` is one vector for each region, (N, C, K, 1), and goes into a product with a map of shares."""
    is_column = value.shape is not None and len(value.shape) == 4 and value.shape[3] == 1 and value.shape[2] != 1
    return is_column and any(reaches_product(node) for node in value.consumers())


def reaches_product(node: ir.Node) -> bool:
    """Whether `node` is a product of two activations, or leads to one by layers on each vector alone."""
    if node.op_type == "MatMul" and constant(node.inputs[1]) is None:
        return True
    return node.op_type in ON_VECTORS and any(reaches_product(reader) for reader in node.outputs[0].consumers())


def is_map(value: ir.Value) -> bool:
    """Whether `value` is (N, C, H, W) with more than a single position."""
    return value.shape is not None and len(value.shape) == 4 and not is_single_position(value)


def is_single_position(value: ir.Value) -> bool:
    """Whether `value` is (N, C, 1, 1), like a mean over the whole image."""
    return value.shape is not None and len(value.shape) == 4 and value.shape[2:] == (1, 1)


def residual_input(node: ir.Node, core: Core, weighted: tuple[ir.Node, ...]) -> ir.Value | None:
    """The input of a residual addition that gets a pair; None where `node` is not a residual addition."""
    if node.op_type != "Add" or any(constant(value) is not None for value in node.inputs):
        return None
    first, second = cast("tuple[ir.Value, ir.Value]", node.inputs)
    convolutions = [value.producer() in weighted and is_fused_sum(value) for value in (first, second)]
    if not any(convolutions):
        return None
    return second if convolutions[0] else first


def is_fused_sum(value: ir.Value) -> bool:
    """Whether an addition of `value` is fused with its producer: a convolution whose output is not broadcast."""
    producer = value.producer()
    return producer is not None and producer.op_type == "Conv" and not is_single_position(value)


def scale_source(value: ir.Value, core: Core) -> ir.Value:
    """The tensor whose range `value` shares: the input of the poolings, resizes and reshapes that give `value`.

    It lies in the core: tensors before the core have no range.
    """
    while value is not core.input and (node := value.producer()) is not None and node.op_type in SAME_CODES:
        value = cast(ir.Value, node.inputs[0])
    return value
