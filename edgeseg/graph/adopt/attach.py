"""Attach the input and output of a deploy graph: a uint8 NHWC frame, and logits (1, C, h, w) or a mask (1, h, w) uint8.

Heads of one foreground class each are joined by their margins. The margin of a head is its foreground logit less its
background logit, or its single logit, or 2p - 1 of its single probability p. The joined logits are 0 for the background
and the margin of its head for each foreground class. So a pixel without a positive margin is background, and otherwise
the head with the largest margin wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.adopt.heads import PLANAR, Head, argmax_before
from edgeseg.graph.adopt.logits import (
    TO_INTERLEAVED,
    Logits,
    argmax_layout,
    is_transpose,
    logits_before,
    logits_before_resize,
)
from edgeseg.graph.adopt.network_input import NetworkInput
from edgeseg.graph.core import HEADS, add_constant, first_input, new_node
from edgeseg.graph.deploy import prepend_frame_head
from edgeseg.spec import InputSpec, Output

TO_PLANAR = (0, 3, 1, 2)


@dataclass(frozen=True)
class DeployOutput:
    """The output of the deploy graph.

    removed_ops: for each head the operators behind its logits that were removed.
    align_corners: of the Resize that was removed; None if there was none.
    """

    kind: Output
    removed_ops: tuple[tuple[str, ...], ...] = ((),)
    align_corners: bool | None = None


def attach_input(model: ir.Model, network_input: NetworkInput, spec: InputSpec) -> ir.Model:
    """Replace the input of `model` by "rgb", uint8 (1, H, W, 3), in place."""
    if network_input.dtype == "uint8":
        floats = ir.val("source/floats", ir.DataType.FLOAT, network_input.shape)
        inputs = [node for node in model.graph.inputs[0].consumers() if is_float_cast(node)]
        replace_input(model.graph, floats, inputs, "Cast", {"to": ir.DataType.UINT8})
    if network_input.layout == "nhwc":
        planes = ir.val("source/planes", ir.DataType.FLOAT, (1, 3, network_input.height, network_input.width))
        inputs = [node for node in model.graph.inputs[0].consumers() if is_transpose(node, TO_PLANAR)]
        replace_input(model.graph, planes, inputs, "Transpose", {"perm": list(TO_INTERLEAVED)})
    return prepend_frame_head(model, spec)


def is_float_cast(node: ir.Node) -> bool:
    """Whether `node` is a Cast to float32."""
    return bool(node.op_type == "Cast" and node.attributes.get_int("to") == ir.DataType.FLOAT)


def replace_input(
    graph: ir.Graph,
    value: ir.Value,
    converters: Sequence[ir.Node],
    op_type: str,
    attributes: dict[str, int | list[int]],
) -> None:
    """Make `value` the input of `graph`. It replaces the outputs of `converters`, which compute it from the old input.

    Other readers of the old input read a new node of `op_type`, which computes it from `value`.
    """
    image = graph.inputs[0]
    for node in converters:
        node.outputs[0].replace_all_uses_with(value)
        graph.remove(node, safe=True)
    if image.uses():
        node = new_node(op_type, [value], attributes, name=f"source/{op_type}", dtype=image.dtype, shape=image.shape)
        image.replace_all_uses_with(node.outputs[0])
        graph.insert_before(graph[0], node)
    graph.inputs[0] = value


def attach_output(model: ir.Model, heads: Sequence[Head], network_input: NetworkInput) -> DeployOutput:
    """Replace the outputs of `model`, those of `heads`, by one "logits" or "mask", in place."""
    graph = model.graph
    if heads[0].output is Output.MASK:
        value, removed_ops = mask_value(graph, graph.outputs[0], heads[0])
        output = DeployOutput(Output.MASK, (removed_ops,))
    else:
        logits = [logits_before(value, head) for value, head in zip(graph.outputs, heads)]
        logits = logits_before_resize(logits, network_input) or logits
        value = join_heads(graph, logits, heads)
        output = DeployOutput(Output.LOGITS, tuple(each.removed_ops for each in logits), logits[0].align_corners)
    graph.outputs.clear()
    graph.outputs.append(value)
    value.name = str(output.kind)
    return output


def planar_value(graph: ir.Graph, logits: Logits, head: Head) -> ir.Value:
    """The logits as (1, C, h, w)."""
    value = logits.value
    planar = (1, head.channels, head.height, head.width)
    if len(head.shape) != 4:
        interleaved = (1, head.height, head.width, head.channels)
        value = reshape(graph, value, planar if logits.layout == PLANAR else interleaved, head.name)
    if logits.layout == PLANAR:
        return value
    perm = {"perm": list(TO_PLANAR)}
    return append(graph, "Transpose", [value], perm, f"{HEADS}{head.name}/Transpose", ir.DataType.FLOAT, planar)


def join_heads(graph: ir.Graph, logits: Sequence[Logits], heads: Sequence[Head]) -> ir.Value:
    """The logits of a single head with several classes, or the margins of all heads."""
    planar = [planar_value(graph, each, head) for each, head in zip(logits, heads)]
    if len(heads) == 1 and heads[0].channels > 1:
        return planar[0]
    value, channels, size = planar[0], sum(head.channels for head in heads), (planar[0].shape or (0,) * 4)[2:]
    if len(planar) > 1:
        shape = (1, channels, *size)
        value = append(graph, "Concat", planar, {"axis": 1}, f"{HEADS}Concat", ir.DataType.FLOAT, shape)
    is_probability = [head.probability and "Sigmoid" not in each.removed_ops for each, head in zip(logits, heads)]
    constants = margins(heads, is_probability)
    inputs = [add_constant(graph, f"{HEADS}{name}", array) for name, array in zip(("weight", "bias"), constants)]
    shape, kernel = (1, len(heads) + 1, *size), {"kernel_shape": [1, 1]}
    return append(graph, "Conv", [value, *inputs], kernel, f"{HEADS}Conv", ir.DataType.FLOAT, shape)


def margins(heads: Sequence[Head], is_probability: Sequence[bool]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight (K + 1, sum of channels, 1, 1) and bias of the 1x1 convolution from K heads to 0 and their margins.

    is_probability: for each head, whether its single channel p is a probability, with the margin 2p - 1.
    """
    weight = np.zeros((len(heads) + 1, sum(head.channels for head in heads), 1, 1), np.float32)
    bias = np.zeros(len(heads) + 1, np.float32)
    end = 0
    for row, (head, probability) in enumerate(zip(heads, is_probability), start=1):
        end += head.channels
        weight[row, end - 1], bias[row] = (2, -1) if probability else (1, 0)
        if head.channels == 2:
            weight[row, end - 2] = -1
    return weight, bias


def mask_value(graph: ir.Graph, value: ir.Value, head: Head) -> tuple[ir.Value, tuple[str, ...]]:
    """The mask (1, h, w) uint8, and the removed operators. It is computed from the logits if the ArgMax is known."""
    shape = (1, head.height, head.width)
    argmax = argmax_before(value)
    removed_ops: tuple[str, ...] = ()
    if argmax is not None and (layout := argmax_layout(argmax)):
        logits_head = replace(head, layout=layout, shape=(1,) * 4, channels=head.classes)
        logits = logits_before(first_input(argmax), logits_head)
        removed_ops = logits.removed_ops
        planar = planar_value(graph, logits, logits_head)
        attributes = {"axis": 1, "keepdims": 0}
        value = append(graph, "ArgMax", [planar], attributes, "mask/ArgMax", ir.DataType.INT64, shape)
    elif head.shape != shape:
        value = reshape(graph, value, shape, head.name)
    to = {"to": ir.DataType.UINT8}
    return append(graph, "Cast", [value], to, "mask/Cast", ir.DataType.UINT8, shape), removed_ops


def reshape(graph: ir.Graph, value: ir.Value, shape: tuple[int, ...], name: str) -> ir.Value:
    """Append a Reshape of `value`."""
    target = add_constant(graph, f"{HEADS}{name}/shape", np.array(shape, np.int64))
    return append(graph, "Reshape", [value, target], {}, f"{HEADS}{name}/Reshape", value.dtype, shape)


def append(
    graph: ir.Graph,
    op_type: str,
    inputs: Sequence[ir.Value],
    attributes: dict[str, int] | dict[str, list[int]],
    name: str,
    dtype: ir.DataType | None,
    shape: Sequence[object],
) -> ir.Value:
    """Append a node to `graph`, and return its output."""
    node = new_node(op_type, inputs, attributes, name=name, dtype=dtype, shape=shape)
    graph.append(node)
    return node.outputs[0]
