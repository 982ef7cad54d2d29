"""The deploy graph's input for a network of any layout and type: a uint8 NHWC frame."""

from __future__ import annotations

import onnx_ir as ir

from edgeseg.graph.adopt.picture import Picture
from edgeseg.graph.adopt.scores import TO_INTERLEAVED, is_transpose
from edgeseg.graph.deploy import prepend_frame_head
from edgeseg.spec import InputSpec

TO_PLANAR = (0, 3, 1, 2)


def attach_frames(model: ir.Model, picture: Picture, spec: InputSpec) -> ir.Model:
    """Replace the input of `model` by "rgb", uint8 (1, H, W, 3), in place."""
    if picture.dtype == "uint8":
        take_floats(model.graph, picture)
    if picture.layout == "nhwc":
        take_planes(model.graph, picture)
    return prepend_frame_head(model, spec)


def take_floats(graph: ir.Graph, picture: Picture) -> None:
    """Let a graph that takes uint8 take the same values as floats: its own Cast goes, or one stands before it."""
    image = graph.inputs[0]
    floats = ir.val("source/floats", ir.DataType.FLOAT, picture.shape)
    for node in list(image.consumers()):
        if node.op_type == "Cast" and node.attributes.get_int("to") == ir.DataType.FLOAT:
            node.outputs[0].replace_all_uses_with(floats)
            graph.remove(node, safe=True)
    if image.uses():
        node = ir.node("Cast", [floats], {"to": ir.DataType.UINT8}, name="source/Cast")
        replace_input(graph, image, node)
    graph.inputs[0] = floats


def take_planes(graph: ir.Graph, picture: Picture) -> None:
    """Let a graph that takes NHWC take NCHW: its own Transpose goes, or one stands before it."""
    image = graph.inputs[0]
    planes = ir.val("source/planes", ir.DataType.FLOAT, (1, 3, picture.height, picture.width))
    for node in list(image.consumers()):
        if is_transpose(node, TO_PLANAR):
            node.outputs[0].replace_all_uses_with(planes)
            graph.remove(node, safe=True)
    if image.uses():
        node = ir.node("Transpose", [planes], {"perm": list(TO_INTERLEAVED)}, name="source/Transpose")
        replace_input(graph, image, node)
    graph.inputs[0] = planes


def replace_input(graph: ir.Graph, image: ir.Value, node: ir.Node) -> None:
    """Let all who read `image` read the output of `node`, at the beginning of `graph`."""
    output = node.outputs[0]
    output.name, output.dtype, output.shape = str(node.name), image.dtype, image.shape
    image.replace_all_uses_with(output)
    graph.insert_before(graph[0], node)
