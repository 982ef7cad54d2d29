"""Around a float NCHW network: a head that takes frames as they are, and a tail that gives a mask.

uint8 may only enter a Cast in TensorRT, so Cast comes first and Transpose second.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeseg.spec import InputSpec, ModelSpec

FRAME, LOGITS, MASK = "rgb", "logits", "mask"


def prepend_frame_head(model: ir.Model, spec: InputSpec) -> ir.Model:
    """Replace the float input (N, 3, H, W) by "rgb", uint8 (N, H, W, 3): Cast, Transpose, (x - mean) / std.

    A mean of 0 is not subtracted, and values of 0..255 (std 1/255) are not scaled.
    """
    graph = model.graph
    image = graph.inputs[0]
    frame = ir.val(FRAME, ir.DataType.UINT8, (image.shape[0], spec.height, spec.width, 3))
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) * 255 for values in (spec.mean, spec.std))
    cast = ir.node("Cast", [frame], {"to": ir.DataType.FLOAT}, name="frame/Cast")
    nodes = [cast, ir.node("Transpose", [cast.outputs[0]], {"perm": [0, 3, 1, 2]}, name="frame/Transpose")]
    if spec.color == "bgr":
        order = constant(graph, "frame.order", np.array([2, 1, 0], np.int64))
        nodes.append(ir.node("Gather", [nodes[-1].outputs[0], order], {"axis": 1}, name="frame/Gather"))
    if np.any(mean != 0):
        nodes.append(ir.node("Sub", [nodes[-1].outputs[0], constant(graph, "frame.mean", mean)], name="frame/Sub"))
    if not np.allclose(std, 1, rtol=1e-6, atol=0):  # 1 / 255 * 255 is 1 to a rounding of float32
        nodes.append(ir.node("Mul", [nodes[-1].outputs[0], constant(graph, "frame.scale", 1 / std)], name="frame/Mul"))
    for number, node in enumerate(nodes):
        node.outputs[0].name = f"frame_{number}"
        node.outputs[0].dtype = ir.DataType.FLOAT
    nodes[0].outputs[0].shape = frame.shape
    for node in nodes[1:]:
        node.outputs[0].shape = image.shape
    graph.insert_before(graph[0], nodes)
    image.replace_all_uses_with(nodes[-1].outputs[0])
    graph.inputs[0] = frame
    return model


def append_mask_tail(model: ir.Model, spec: ModelSpec) -> ir.Model:
    """Replace the output "logits" (N, C, h, w) by "mask", uint8 (N, H, W) at the input's size."""
    graph = model.graph
    logits = graph.outputs[0]
    classes = logits.shape[1] if logits.shape is not None else len(spec.labels)
    size = constant(graph, "mask.size", np.array([1, classes, spec.input.height, spec.input.width], np.int64))
    mode = "align_corners" if spec.align_corners else "half_pixel"
    resize = ir.node(
        "Resize",
        [logits, None, None, size],
        {"mode": "linear", "coordinate_transformation_mode": mode},
        name="mask/Resize",
    )
    argmax = ir.node("ArgMax", [resize.outputs[0]], {"axis": 1, "keepdims": 0}, name="mask/ArgMax")
    cast = ir.node("Cast", [argmax.outputs[0]], {"to": ir.DataType.UINT8}, name="mask/Cast")
    for node, name in ((resize, "mask_resized"), (argmax, "mask_index"), (cast, MASK)):
        node.outputs[0].name = name
    mask = cast.outputs[0]
    mask.dtype, mask.shape = ir.DataType.UINT8, ir.Shape((1, spec.input.height, spec.input.width))
    graph.extend([resize, argmax, cast])
    graph.outputs[0] = mask
    return model


def constant(graph: ir.Graph, name: str, values: np.ndarray) -> ir.Value:
    """A named constant of the graph."""
    value = ir.val(name, const_value=ir.tensor(values, name=name))
    graph.register_initializer(value)
    return value
