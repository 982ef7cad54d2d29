"""Find the logits behind an output: before a softmax or sigmoid, a transpose and the final resize.

A deploy graph leaves these operators out: they do not change the labels, and `Segmenter` upsamples exactly and faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from edgeseg.graph.adopt.heads import INTERLEAVED, PLANAR, Head
from edgeseg.graph.adopt.network_input import NetworkInput
from edgeseg.graph.core import constant, first_input

ACTIVATIONS = {"Softmax", "LogSoftmax", "Sigmoid"}
TO_INTERLEAVED = (0, 2, 3, 1)
HALF_PIXEL, CORNERS = {"half_pixel", "pytorch_half_pixel"}, "align_corners"
SCALE_TOLERANCE = 1e-4  # of a float32 scale: a tenth of a pixel at 1000 pixels


@dataclass(frozen=True)
class Logits:
    """The logits of one head in the graph. removed_ops, align_corners: as in DeployOutput."""

    value: ir.Value
    layout: str
    removed_ops: tuple[str, ...] = ()
    align_corners: bool | None = None


def logits_before(value: ir.Value, head: Head) -> Logits:
    """The logits before the activation or transpose that produces `value`; `value` itself if there is none."""
    layout, removed_ops = head.layout, []
    while len(head.shape) == 4 and (node := value.producer()) is not None:
        if is_activation(node, 1 if layout == PLANAR else 3, head.channels):
            removed_ops.append(node.op_type)
        elif layout == INTERLEAVED and is_transpose(node, TO_INTERLEAVED):
            layout = PLANAR
        elif node.op_type != "Identity":
            break
        value = first_input(node)
    return Logits(value, layout, tuple(removed_ops))


def is_activation(node: ir.Node, axis: int, channels: int) -> bool:
    """Whether `node` is an activation that keeps the order of the channels (`axis` of four) at every pixel."""
    if node.op_type == "Sigmoid":
        return True
    return channels > 1 and node.op_type in ACTIVATIONS and node.attributes.get_int("axis", -1) % 4 == axis


def is_transpose(node: ir.Node, order: tuple[int, ...]) -> bool:
    """Whether `node` is a Transpose with the permutation `order`."""
    return node.op_type == "Transpose" and tuple(node.attributes.get_ints("perm", ())) == order


def logits_before_resize(logits: Sequence[Logits], network_input: NetworkInput) -> list[Logits] | None:
    """The logits before the Resize of each head to the input's size; None unless all heads have the same Resize."""
    smaller = [small for each in logits if (small := before_resize(each, network_input))]
    rules = {(each.align_corners, *height_width(each.value)) for each in smaller}
    return smaller if len(smaller) == len(logits) and len(rules) == 1 else None


def before_resize(logits: Logits, network_input: NetworkInput) -> Logits | None:
    """The logits before a Resize that equals the upsampling of `Segmenter`. An activation before it stays."""
    node = logits.value.producer()
    if node is None or node.op_type != "Resize" or logits.layout != PLANAR or not is_bilinear(node):
        return None
    small, size = height_width(first_input(node)), (network_input.height, network_input.width)
    if height_width(logits.value) != size or not all(small) or not upsamples_exactly(node, small, size):
        return None
    corners = node.attributes.get_string("coordinate_transformation_mode", "half_pixel") == CORNERS
    return replace(logits, value=first_input(node), removed_ops=(*logits.removed_ops, "Resize"), align_corners=corners)


def is_bilinear(node: ir.Node) -> bool:
    """Whether a Resize is bilinear with one of the two coordinate rules that a spec can express."""
    attributes = node.attributes
    mode = attributes.get_string("coordinate_transformation_mode", "half_pixel")
    return (
        attributes.get_string("mode", "nearest") == "linear"
        and mode in {*HALF_PIXEL, CORNERS}
        and not attributes.get_int("antialias", 0)
        and "axes" not in attributes
        and attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    )


def upsamples_exactly(node: ir.Node, small: tuple[int, int], size: tuple[int, int]) -> bool:
    """Whether a Resize enlarges, with coordinates that follow from the two sizes and not from a rounded scale."""
    if any(a > b for a, b in zip(small, size)):
        return False
    scales = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if scales is None or scales.size != 4:
        return True
    return all(abs(scale * a - b) <= SCALE_TOLERANCE * b for scale, a, b in zip(scales[2:], small, size))


def height_width(value: ir.Value) -> tuple[int, int]:
    """(h, w) of a tensor (1, C, h, w); zeros if they are unknown."""
    shape = value.shape
    if shape is None or len(shape) != 4 or not all(isinstance(side, int) for side in shape):
        return 0, 0
    return int(shape[2]), int(shape[3])


def argmax_layout(node: ir.Node) -> str:
    """The layout of the logits that an ArgMax over the channels reads; "" for another ArgMax."""
    shape = first_input(node).shape
    if shape is None or len(shape) != 4 or shape[0] != 1 or node.attributes.get_int("select_last_index", 0):
        return ""
    return {1: PLANAR, 3: INTERLEAVED}.get(node.attributes.get_int("axis", 0) % 4, "")
