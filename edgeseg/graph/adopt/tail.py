"""From the outputs of a network to what a deploy graph gives: logits (1, C, h, w), or a mask (1, h, w) uint8.

Heads of one foreground class each are joined so: a head's margin is its foreground logit less its background logit, or
its one logit, or how far its one probability lies above one half, doubled. The background's logit is 0 and that of
each foreground class is its head's margin. So a pixel that no head claims is background, one that a single head claims
is that head's, and of several the strongest wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.adopt.heads import PLANAR, Head, argmax_before
from edgeseg.graph.adopt.picture import Picture
from edgeseg.graph.adopt.scores import Scores, argmax_layout, operand, scores_before, without_enlargement
from edgeseg.graph.core import HEADS, add_constant
from edgeseg.spec import Output

TO_PLANAR = (0, 3, 1, 2)


@dataclass(frozen=True)
class Tail:
    """What the deploy graph gives. left_out: the operators after its logits that were not kept, for each head.

    align_corners: of the enlargement that was left out; None where there was none.
    """

    output: Output
    left_out: tuple[tuple[str, ...], ...] = ((),)
    align_corners: bool | None = None


def attach_tail(model: ir.Model, heads: Sequence[Head], picture: Picture) -> Tail:
    """Replace the outputs of `model`, those of `heads`, by one "logits" or "mask", in place."""
    graph = model.graph
    if heads[0].output is Output.MASK:
        result, left_out = mask_value(graph, graph.outputs[0], heads[0])
        tail = Tail(Output.MASK, (left_out,))
    else:
        found = [scores_before(value, head) for value, head in zip(graph.outputs, heads)]
        found = without_enlargement(found, picture) or found
        result = joined(graph, found, heads)
        tail = Tail(Output.LOGITS, tuple(scores.left_out for scores in found), found[0].align_corners)
    graph.outputs.clear()
    graph.outputs.append(result)
    result.name = str(tail.output)
    return tail


def planar_value(graph: ir.Graph, scores: Scores, head: Head) -> ir.Value:
    """The logits as (1, C, h, w)."""
    value = scores.value
    if len(head.shape) != 4:
        full = (1, head.channels, head.height, head.width)
        interleaved = (1, head.height, head.width, head.channels)
        value = reshaped(graph, value, full if scores.layout == PLANAR else interleaved, head.name)
    if scores.layout == PLANAR:
        return value
    height, width = head.height, head.width
    node = ir.node("Transpose", [value], {"perm": list(TO_PLANAR)}, name=f"{HEADS}{head.name}/Transpose")
    return appended(graph, node, ir.DataType.FLOAT, (1, head.channels, height, width))


def joined(graph: ir.Graph, found: Sequence[Scores], heads: Sequence[Head]) -> ir.Value:
    """One value of logits: that of the one head with two classes or more, or the margins of all."""
    planar = [planar_value(graph, scores, head) for scores, head in zip(found, heads)]
    if len(heads) == 1 and heads[0].channels > 1:
        return planar[0]
    value, channels, size = planar[0], sum(head.channels for head in heads), (planar[0].shape or (0,) * 4)[2:]
    if len(planar) > 1:
        node = ir.node("Concat", planar, {"axis": 1}, name=f"{HEADS}Concat")
        value = appended(graph, node, ir.DataType.FLOAT, (1, channels, *size))
    constants = margins(
        heads, [head.probability and "Sigmoid" not in each.left_out for each, head in zip(found, heads)]
    )
    inputs = [add_constant(graph, f"{HEADS}{name}", array) for name, array in zip(("weight", "bias"), constants)]
    node = ir.node("Conv", [value, *inputs], {"kernel_shape": [1, 1]}, name=f"{HEADS}Conv")
    return appended(graph, node, ir.DataType.FLOAT, (1, len(heads) + 1, *size))


def margins(heads: Sequence[Head], probable: Sequence[bool]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight (K + 1, sum of channels, 1, 1) and bias of the 1x1 convolution from K heads to 0 and their margins.

    probable: which heads give one probability, whose margin 2p - 1 is the difference of two.
    """
    weight = np.zeros((len(heads) + 1, sum(head.channels for head in heads), 1, 1), np.float32)
    bias = np.zeros(len(heads) + 1, np.float32)
    end = 0
    for row, (head, is_probability) in enumerate(zip(heads, probable), start=1):
        end += head.channels
        weight[row, end - 1], bias[row] = (2, -1) if is_probability else (1, 0)
        if head.channels == 2:
            weight[row, end - 2] = -1
    return weight, bias


def mask_value(graph: ir.Graph, value: ir.Value, head: Head) -> tuple[ir.Value, tuple[str, ...]]:
    """The mask (1, h, w) uint8, and what was left out; from the logits again where its ArgMax is in sight."""
    shape = (1, head.height, head.width)
    argmax = argmax_before(value)
    left_out: tuple[str, ...] = ()
    if argmax is not None and (layout := argmax_layout(argmax)):
        logits = operand(argmax)
        logits_head = replace(head, layout=layout, shape=(1,) * 4, channels=head.classes)
        scores = scores_before(logits, logits_head)
        left_out = scores.left_out
        planar = planar_value(graph, scores, logits_head)
        node = ir.node("ArgMax", [planar], {"axis": 1, "keepdims": 0}, name="mask/ArgMax")
        value = appended(graph, node, ir.DataType.INT64, shape)
    elif head.shape != shape:
        value = reshaped(graph, value, shape, head.name)
    cast = ir.node("Cast", [value], {"to": ir.DataType.UINT8}, name="mask/Cast")
    return appended(graph, cast, ir.DataType.UINT8, shape), left_out


def reshaped(graph: ir.Graph, value: ir.Value, shape: tuple[int, ...], name: str) -> ir.Value:
    """`value` in another shape."""
    target = add_constant(graph, f"{HEADS}{name}/shape", np.array(shape, np.int64))
    node = ir.node("Reshape", [value, target], name=f"{HEADS}{name}/Reshape")
    return appended(graph, node, value.dtype, shape)


def appended(graph: ir.Graph, node: ir.Node, dtype: ir.DataType | None, shape: Sequence[object]) -> ir.Value:
    """The output of `node`, put at the end of `graph`."""
    output = node.outputs[0]
    output.name, output.dtype, output.shape = str(node.name), dtype, ir.Shape(shape)
    graph.append(node)
    return output
