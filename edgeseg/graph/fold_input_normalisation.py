"""A quantised graph that begins with the frame's bytes: no Cast, no subtraction and no rounding.

Zeros around p - m, the bytes less the mean colour m, are the bytes p with m around them: so a border of m is put around
the frame itself, no convolution pads, and the codes are the bytes, with the zero point 0 that costs no runtime
anything. The rows of an interleaved frame are copied whole, which is a fraction of what the normalisation took.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.core import constant
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, Encoding, Pair, add_constant, encoding_constants

PLANES = (0, 3, 1, 2)  # from (N, H, W, C) to (N, C, H, W)
Bytes = NDArray[np.uint8]
Pads = tuple[int, ...]  # top, left, bottom, right
NOTHING: Pads = (0, 0, 0, 0)


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
    return tuple(node.attributes.get_ints("pads", NOTHING))


def fold_input_normalisation(graph: ir.Graph, picture: ir.Value) -> None:
    """Where `picture` is bytes less whole numbers, and convolutions read nothing but its codes, let them read the frame
    with its border.
    """
    colour, pair = colour_of(picture), only_pair(picture)
    frame = None if colour is None else frame_of(cast(ir.Value, cast(ir.Node, picture.producer()).inputs[0]))
    if colour is None or pair is None or frame is None:
        return
    readers = list(pair.dequantize.outputs[0].consumers())
    # OpenVINO (2026.4.1) computes in integers only where a graph rounds something.
    rounds = any(node.op_type == QUANTIZE and node is not pair.quantize for node in graph)
    if rounds and all(is_padded_by_itself(node) for node in readers):
        read_bordered_bytes(graph, pair, frame, colour)


def colour_of(picture: ir.Value) -> Bytes | None:
    """m, (3,), where `picture` is a value less the whole numbers m; None elsewhere."""
    node = picture.producer()
    array = constant(node.inputs[1]) if node is not None and node.op_type == "Sub" else None
    if array is None or array.size not in (1, 3):
        return None
    colour = np.broadcast_to(array.reshape(-1), 3).astype(np.uint8)
    return colour if np.all(colour == array.reshape(-1)) else None


def only_pair(value: ir.Value) -> Pair | None:
    """The pair of `value`, where nothing else reads it or its codes."""
    nodes: list[ir.Node] = []
    for operator in (QUANTIZE, DEQUANTIZE):
        readers = list(value.consumers())
        if len(readers) != 1 or readers[0].op_type != operator:
            return None
        nodes += readers
        value = readers[0].outputs[0]
    return Pair(*nodes)


def read_bordered_bytes(graph: ir.Graph, pair: Pair, frame: ir.Value, colour: Bytes) -> None:
    """Let the convolutions that read `pair`, of pixels less `colour` (3,), read `frame` with a border of `colour`."""
    encoding = encoding_constants(graph, f"{pair.tensor.name}_bytes", Encoding(1.0, 0, np.uint8))
    readers, first = list(pair.dequantize.outputs[0].consumers()), graph[0]
    borders = [pads_of(node) if np.any(colour) else NOTHING for node in readers]  # black is what zeros around it are
    planes = {pads: bordered_planes(graph, first, frame, colour, pads, encoding) for pads in dict.fromkeys(borders)}
    for node, pads in zip(readers, borders):
        take_off_bias(graph, node, colour)
        node.replace_input_with(0, planes[pads])
        if pads != NOTHING:
            node.attributes["pads"] = ir.AttrInt64s("pads", NOTHING)
    node, unread = cast(ir.Node, pair.tensor.producer()), [pair.dequantize, pair.quantize]
    while node.inputs[0] is not frame:
        unread.append(node)
        node = cast(ir.Node, cast(ir.Value, node.inputs[0]).producer())
    graph.remove([*unread, node], safe=True)
    for name in [name for name, value in graph.initializers.items() if not value.uses()]:
        del graph.initializers[name]


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
