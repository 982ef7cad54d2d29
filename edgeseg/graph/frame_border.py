"""A quantised graph that begins with the frame's bytes and a border of its mean colour, which no convolution pads.

Zeros around p - m, the bytes less the mean colour m, are the bytes p with m around them: so the border is put around
the frame itself, and the codes are the bytes, with the zero point 0 that costs no runtime anything. The rows of an
interleaved frame are copied whole, which is a fraction of what the normalisation took.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.core import constant
from edgeseg.graph.qdq import DEQUANTIZE, Encoding, Pair, add_constant, encoding_constants

PLANES = (0, 3, 1, 2)  # from (N, H, W, C) to (N, C, H, W)
Bytes = NDArray[np.uint8]
Pads = tuple[int, ...]  # top, left, bottom, right


def frame_of(pixels: ir.Value) -> ir.Value | None:
    """The frame (N, H, W, 3) uint8, of fixed size, whose planes `pixels` are as floats; None where there is none."""
    transpose = pixels.producer()
    if transpose is None or transpose.op_type != "Transpose":
        return None
    cast_node = cast(ir.Value, transpose.inputs[0]).producer()
    frame = None if cast_node is None or cast_node.op_type != "Cast" else cast_node.inputs[0]
    if frame is None or frame.dtype != ir.DataType.UINT8 or frame.shape is None:
        return None
    planes = tuple(transpose.attributes.get_ints("perm", ())) == PLANES
    return frame if planes and frame.shape.is_static() and frame.shape[-1] == 3 else None


def pads_of(node: ir.Node) -> Pads:
    """How many positions the convolution `node` adds: top, left, bottom, right."""
    return tuple(node.attributes.get_ints("pads", (0, 0, 0, 0)))


def read_bordered_bytes(graph: ir.Graph, pair: Pair, colour: Bytes) -> None:
    """Let the convolutions that read `pair`, of pixels less `colour` (3,), read the frame with a border of `colour`."""
    subtract = cast(ir.Node, pair.tensor.producer())
    pixels = cast(ir.Value, subtract.inputs[0])
    frame = frame_of(pixels)
    readers = list(pair.dequantize.outputs[0].consumers())
    if frame is None or not all(is_padded_by_itself(node) for node in readers):
        return
    encoding = encoding_constants(graph, f"{pair.tensor.name}_bytes", Encoding(1.0, 0, np.uint8))
    first = graph[0]
    for pads in dict.fromkeys(pads_of(node) for node in readers):
        planes = bordered_planes(graph, first, frame, colour, pads, encoding)
        for node in readers:
            if pads_of(node) == pads:
                take_off_bias(graph, node, colour)
                node.replace_input_with(0, planes)
    for node in readers:
        node.attributes["pads"] = ir.AttrInt64s("pads", (0, 0, 0, 0))
    moved = [cast(ir.Node, value.producer()) for value in (pixels, cast(ir.Node, pixels.producer()).inputs[0]) if value]
    graph.remove([pair.dequantize, pair.quantize, subtract, *moved], safe=True)


def is_padded_by_itself(node: ir.Node) -> bool:
    """Whether `node` is an int8 convolution of planes that says by how much it pads, and has a bias."""
    weight = node.inputs[1].producer() if node.op_type == "Conv" and node.inputs[1] is not None else None
    known = node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET" and len(pads_of(node)) == 4
    biased = len(node.inputs) > 2 and constant(node.inputs[2]) is not None
    return known and biased and weight is not None and weight.op_type == DEQUANTIZE


def bordered_planes(
    graph: ir.Graph, first: ir.Node, frame: ir.Value, colour: Bytes, pads: Pads, encoding: Sequence[ir.Value]
) -> ir.Value:
    """The planes of `frame` with its border, (N, 3, H + top + bottom, W + left + right), put before `first`.

    Dequantised before they are transposed: OpenVINO (2026.4.1) computes a convolution in float that reads transposed
    codes of a Concat.
    """
    name = f"{frame.name}.border_{'_'.join(map(str, pads))}"
    top, left, bottom, right = pads
    wide = beside(graph, first, frame, colour, 2, (left, right), f"{name}/columns")
    whole = beside(graph, first, wide, colour, 1, (top, bottom), f"{name}/rows")
    dequantize = ir.node(DEQUANTIZE, [whole, *encoding], name=f"{name}/{DEQUANTIZE}")
    transpose = ir.node("Transpose", [dequantize.outputs[0]], {"perm": PLANES}, name=f"{name}/Transpose")
    shape = list(whole.shape or ())
    for node, sides in ((dequantize, shape), (transpose, [shape[axis] for axis in PLANES])):
        output = node.outputs[0]
        output.name, output.dtype, output.shape = str(node.name), ir.DataType.FLOAT, ir.Shape(sides)
    graph.insert_before(first, [dequantize, transpose])
    return transpose.outputs[0]


def beside(
    graph: ir.Graph, first: ir.Node, frame: ir.Value, colour: Bytes, axis: int, counts: tuple[int, int], name: str
) -> ir.Value:
    """`frame` with so many positions of `colour` before and after it along `axis`."""
    shape = [int(side) for side in frame.shape or ()]
    parts = [frame]
    for index, count in enumerate(counts):
        if count:
            strip = np.broadcast_to(colour, [*shape[:axis], count, *shape[axis + 1 :]])
            parts.insert(index * len(parts), add_constant(graph, f"{name}.{index}", strip.copy()))
    if len(parts) == 1:
        return frame
    node = ir.node("Concat", parts, {"axis": axis}, name=f"{name}/Concat")
    output = node.outputs[0]
    output.name, output.dtype = str(node.name), ir.DataType.UINT8
    output.shape = ir.Shape([*shape[:axis], shape[axis] + sum(counts), *shape[axis + 1 :]])
    graph.insert_before(first, node)
    return output


def take_off_bias(graph: ir.Graph, node: ir.Node, colour: Bytes) -> None:
    """Take off the bias of `node` what its int8 weight makes of `colour` at every position."""
    dequantize = cast(ir.Node, cast(ir.Value, node.inputs[1]).producer())
    codes, scales = (cast("NDArray[np.float32]", constant(value)) for value in dequantize.inputs[:2])
    old = cast(ir.Value, node.inputs[2])
    of_colour = (codes.astype(np.float64) * colour.reshape(1, -1, 1, 1)).sum(axis=(1, 2, 3)) * scales
    bias = cast("NDArray[np.float32]", constant(old)) - of_colour
    node.replace_input_with(2, add_constant(graph, f"{node.name}/bias_of_bytes_alone", bias.astype(np.float32)))
