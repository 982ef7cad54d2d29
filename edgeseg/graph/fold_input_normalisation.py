"""Let the first convolutions of a quantised graph read the uint8 frame: no Cast, no subtraction and no rounding.

The convolutions pad p - m, the frame p less the mean colour m, with zeros. That equals p padded with m. So a border of
colour m is concatenated to the frame, no convolution pads, and the codes are the frame's bytes with the zero point 0,
which is free in every runtime. Copying the rows of an interleaved frame takes a fraction of the time of normalising it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.core import add_constant, constant, first_input, made_by, new_node
from edgeseg.graph.qdq import DEQUANTIZE, QUANTIZE, Encoding, Pair, encoding_constants

PLANES = (0, 3, 1, 2)  # from (N, H, W, C) to (N, C, H, W)
Bytes = NDArray[np.uint8]
Pads = tuple[int, ...]  # top, left, bottom, right
NO_PADS: Pads = (0, 0, 0, 0)


def frame_of(pixels: ir.Value) -> ir.Value | None:
    """The uint8 frame (N, H, W, 3) of fixed size that `pixels` is cast and transposed from; None if there is none."""
    transpose = pixels.producer()
    if transpose is None or transpose.op_type != "Transpose":
        return None
    cast_node = first_input(transpose).producer()
    frame = None if cast_node is None or cast_node.op_type != "Cast" else cast_node.inputs[0]
    if frame is None or frame.dtype != ir.DataType.UINT8 or frame.shape is None:
        return None
    planes = tuple(transpose.attributes.get_ints("perm", ())) == PLANES
    return frame if planes and frame.shape.is_static() and frame.shape[-1] == 3 else None


def pads_of(node: ir.Node) -> Pads:
    """The padding of the convolution `node`: top, left, bottom, right."""
    return tuple(node.attributes.get_ints("pads", NO_PADS))


def fold_input_normalisation(graph: ir.Graph, image: ir.Value) -> None:
    """Let the first convolutions read the frame with a border, in place. Unused nodes and constants remain.

    Nothing changes unless `image` is a uint8 frame less whole numbers, and convolutions only read its codes.
    """
    colour, pair = mean_colour(image), only_pair(image)
    frame = None if colour is None else frame_of(first_input(cast(ir.Node, image.producer())))
    if colour is None or pair is None or frame is None:
        return
    readers = list(pair.dequantize.outputs[0].consumers())
    # OpenVINO (2026.4.1) uses integer kernels only if the graph has another QuantizeLinear.
    rounds = any(node.op_type == QUANTIZE and node is not pair.quantize for node in graph)
    if rounds and all(has_explicit_pads(node) for node in readers):
        read_bordered_bytes(graph, pair, frame, colour)


def mean_colour(image: ir.Value) -> Bytes | None:
    """The colour (3,) that is subtracted to give `image`; None unless it is whole numbers of 0..255."""
    node = image.producer()
    array = constant(node.inputs[1]) if node is not None and node.op_type == "Sub" else None
    if array is None or array.size not in (1, 3):
        return None
    colour = np.broadcast_to(array.reshape(-1), 3).astype(np.uint8)
    return colour if np.all(colour == array.reshape(-1)) else None


def only_pair(value: ir.Value) -> Pair | None:
    """The pair of `value`, if nothing else reads the value or its codes."""
    nodes: list[ir.Node] = []
    for operator in (QUANTIZE, DEQUANTIZE):
        readers = list(value.consumers())
        if len(readers) != 1 or readers[0].op_type != operator:
            return None
        nodes += readers
        value = readers[0].outputs[0]
    return Pair(*nodes)


def read_bordered_bytes(graph: ir.Graph, pair: Pair, frame: ir.Value, colour: Bytes) -> None:
    """Let the convolutions that read `pair` (the frame less `colour`) read `frame` with a border of `colour` (3,)."""
    encoding = encoding_constants(graph, f"{pair.tensor.name}_bytes", Encoding(1.0, 0, np.uint8))
    readers, first = list(pair.dequantize.outputs[0].consumers()), graph[0]
    borders = [pads_of(node) if np.any(colour) else NO_PADS for node in readers]  # zeros are black
    planes = {pads: bordered_planes(graph, first, frame, colour, pads, encoding) for pads in dict.fromkeys(borders)}
    for node, pads in zip(readers, borders):
        subtract_from_bias(graph, node, colour)
        node.replace_input_with(0, planes[pads])
        if pads != NO_PADS:
            node.attributes["pads"] = ir.AttrInt64s("pads", NO_PADS)
    graph.remove([pair.dequantize, pair.quantize], safe=True)


def has_explicit_pads(node: ir.Node) -> bool:
    """Whether `node` is a 2-D int8 convolution with explicit padding and a bias."""
    known = node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET" and len(pads_of(node)) == 4
    biased = len(node.inputs) > 2 and constant(node.inputs[2]) is not None
    return node.op_type == "Conv" and known and biased and made_by(node.inputs[1], DEQUANTIZE)


def bordered_planes(
    graph: ir.Graph, first: ir.Node, frame: ir.Value, colour: Bytes, pads: Pads, encoding: Sequence[ir.Value]
) -> ir.Value:
    """Insert before `first` the planes of `frame` with a border: (N, 3, H + top + bottom, W + left + right).

    They are dequantised before they are transposed: OpenVINO (2026.4.1) computes a convolution in float if it reads
    the transposed codes of a Concat.
    """
    name = f"{frame.name}.border_{'_'.join(map(str, pads))}"
    top, left, bottom, right = pads
    wide = with_border(graph, first, frame, colour, 2, (left, right), f"{name}/columns")
    whole = with_border(graph, first, wide, colour, 1, (top, bottom), f"{name}/rows")
    shape = list(whole.shape or ())
    dequantize = new_node(
        DEQUANTIZE, [whole, *encoding], name=f"{name}/{DEQUANTIZE}", dtype=ir.DataType.FLOAT, shape=shape
    )
    transpose = new_node(
        "Transpose", dequantize.outputs, {"perm": PLANES}, name=f"{name}/Transpose",
        dtype=ir.DataType.FLOAT, shape=[shape[axis] for axis in PLANES],
    )  # fmt: skip
    graph.insert_before(first, [dequantize, transpose])
    return transpose.outputs[0]


def with_border(
    graph: ir.Graph, first: ir.Node, frame: ir.Value, colour: Bytes, axis: int, counts: tuple[int, int], name: str
) -> ir.Value:
    """Concatenate `counts` positions of `colour` before and after `frame` along `axis`."""
    shape = [int(side) for side in frame.shape or ()]
    parts = [frame]
    for index, count in enumerate(counts):
        if count:
            strip = np.broadcast_to(colour, [*shape[:axis], count, *shape[axis + 1 :]])
            parts.insert(index * len(parts), add_constant(graph, f"{name}.{index}", strip.copy()))
    if len(parts) == 1:
        return frame
    shape[axis] += sum(counts)
    node = new_node("Concat", parts, {"axis": axis}, name=f"{name}/Concat", dtype=ir.DataType.UINT8, shape=shape)
    graph.insert_before(first, node)
    return node.outputs[0]


def subtract_from_bias(graph: ir.Graph, node: ir.Node, colour: Bytes) -> None:
    """Subtract from the bias of `node` the convolution of a constant `colour` with its int8 weight."""
    dequantize = cast(ir.Node, cast(ir.Value, node.inputs[1]).producer())
    codes, scales = (cast("NDArray[np.float32]", constant(value)) for value in dequantize.inputs[:2])
    old = cast(ir.Value, node.inputs[2])
    of_colour = (codes.astype(np.float64) * colour.reshape(1, -1, 1, 1)).sum(axis=(1, 2, 3)) * scales
    bias = cast("NDArray[np.float32]", constant(old)) - of_colour
    node.replace_input_with(2, add_constant(graph, f"{node.name}/bias_of_bytes_alone", bias.astype(np.float32)))
