"""The logits inside a network whose output is a softened, transposed or enlarged copy of them.

What only softens or enlarges is left out of a deploy graph: it changes no label, and `Segmenter` enlarges exactly and
faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from edgeseg.graph.adopt.heads import INTERLEAVED, PLANAR, Head
from edgeseg.graph.adopt.picture import Picture
from edgeseg.graph.core import constant

SOFTENING = {"Softmax", "LogSoftmax", "Sigmoid"}
TO_INTERLEAVED = (0, 2, 3, 1)
HALF_PIXEL, CORNERS = {"half_pixel", "pytorch_half_pixel"}, "align_corners"
WHOLE = 1e-4  # a scale stands as float32: this is a tenth of a pixel at 1000 pixels


@dataclass(frozen=True)
class Scores:
    """The logits of one head, found in the graph, and what stands behind them."""

    value: ir.Value
    layout: str
    left_out: tuple[str, ...] = ()
    align_corners: bool | None = None


def scores_before(value: ir.Value, head: Head) -> Scores:
    """The logits that `value` is a softened or transposed copy of; `value` itself where it is none."""
    layout, left_out = head.layout, []
    while len(head.shape) == 4 and (node := value.producer()) is not None:
        if is_softening(node, 1 if layout == PLANAR else 3, head.channels):
            left_out.append(node.op_type)
        elif layout == INTERLEAVED and is_transpose(node, TO_INTERLEAVED):
            layout = PLANAR
        elif node.op_type != "Identity":
            break
        value = operand(node)
    return Scores(value, layout, tuple(left_out))


def is_softening(node: ir.Node, axis: int, channels: int) -> bool:
    """Whether `node` keeps the order of the channels, on `axis` of four, at every pixel."""
    if node.op_type == "Sigmoid":
        return True
    return channels > 1 and node.op_type in SOFTENING and node.attributes.get_int("axis", -1) % 4 == axis


def is_transpose(node: ir.Node, order: tuple[int, ...]) -> bool:
    """Whether `node` puts the axes into `order`."""
    return node.op_type == "Transpose" and tuple(node.attributes.get_ints("perm", ())) == order


def without_enlargement(found: Sequence[Scores], picture: Picture) -> list[Scores] | None:
    """The logits before the Resize that brings each of `found` to the input's size; None unless all have the same."""
    smaller = [small for scores in found if (small := before_enlargement(scores, picture))]
    rules = {(scores.align_corners, *sides(scores.value)) for scores in smaller}
    return smaller if len(smaller) == len(found) and len(rules) == 1 else None


def before_enlargement(scores: Scores, picture: Picture) -> Scores | None:
    """The logits before a Resize that does just what `Segmenter` does. A softening before that stays as it is."""
    node = scores.value.producer()
    if node is None or node.op_type != "Resize" or scores.layout != PLANAR or not is_plain_bilinear(node):
        return None
    small, size = sides(operand(node)), (picture.height, picture.width)
    if sides(scores.value) != size or not all(small) or not enlarges_exactly(node, small, size):
        return None
    corners = node.attributes.get_string("coordinate_transformation_mode", "half_pixel") == CORNERS
    return replace(scores, value=operand(node), left_out=(*scores.left_out, "Resize"), align_corners=corners)


def is_plain_bilinear(node: ir.Node) -> bool:
    """Whether a Resize is bilinear, with one of the two rules for coordinates that a spec knows."""
    attributes = node.attributes
    mode = attributes.get_string("coordinate_transformation_mode", "half_pixel")
    return (
        attributes.get_string("mode", "nearest") == "linear"
        and mode in {*HALF_PIXEL, CORNERS}
        and not attributes.get_int("antialias", 0)
        and "axes" not in attributes
        and attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    )


def enlarges_exactly(node: ir.Node, small: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether the coordinates follow from the two sizes alone, and not from a scale that was rounded."""
    if any(a > b for a, b in zip(small, size)):
        return False
    scales = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if scales is None or scales.size != 4:
        return True
    return all(abs(scale * a - b) <= WHOLE * b for scale, a, b in zip(scales[2:], small, size))


def sides(value: ir.Value) -> tuple[int, int]:
    """(h, w) of a tensor (1, C, h, w); zeros where they are not known."""
    shape = value.shape
    if shape is None or len(shape) != 4 or not all(isinstance(side, int) for side in shape):
        return 0, 0
    return int(shape[2]), int(shape[3])


def argmax_layout(node: ir.Node) -> str:
    """In what layout the logits of an ArgMax over the channels lie; "" for any other one."""
    shape = operand(node).shape
    if shape is None or len(shape) != 4 or shape[0] != 1 or node.attributes.get_int("select_last_index", 0):
        return ""
    return {1: PLANAR, 3: INTERLEAVED}.get(node.attributes.get_int("axis", 0) % 4, "")


def operand(node: ir.Node) -> ir.Value:
    """The first input of a node that has one."""
    value = node.inputs[0]
    assert value is not None
    return value
