"""The deploy graph around a float NCHW network: a head that takes uint8 frames, and a tail that gives a mask.

TensorRT allows a uint8 input to enter a Cast only, so Cast comes first and Transpose second.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeseg.graph.core import add_constant, new_node
from edgeseg.spec import InputSpec, ModelSpec

FRAME, MASK = "rgb", "mask"


def prepend_frame_head(model: ir.Model, spec: InputSpec) -> ir.Model:
    """Replace the float input (N, 3, H, W) by "rgb", uint8 (N, H, W, 3): Cast, Transpose, (x - mean) / std.

    A mean of 0 is not subtracted, and a std of 1/255 (values of 0..255 enter the network) is not divided by.
    """
    graph = model.graph
    image = graph.inputs[0]
    frame = ir.val(FRAME, ir.DataType.UINT8, (image.shape[0], spec.height, spec.width, 3))
    nodes: list[ir.Node] = []

    def append(op_type: str, *constants: ir.Value, **attributes: int | list[int]) -> None:
        nodes.append(
            new_node(
                op_type,
                [nodes[-1].outputs[0] if nodes else frame, *constants],
                attributes,
                name=f"frame/{op_type}",
                output=f"frame_{len(nodes)}",
                dtype=ir.DataType.FLOAT,
                shape=image.shape if nodes else frame.shape,
            )
        )

    append("Cast", to=ir.DataType.FLOAT)
    append("Transpose", perm=[0, 3, 1, 2])
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) * 255 for values in (spec.mean, spec.std))
    if spec.color == "bgr":
        append("Gather", add_constant(graph, "frame.order", np.array([2, 1, 0], np.int64)), axis=1)
    if np.any(mean != 0):
        append("Sub", add_constant(graph, "frame.mean", mean))
    if not np.allclose(std, 1, rtol=1e-6, atol=0):  # 1 / 255 * 255 is 1 up to float32 rounding
        append("Mul", add_constant(graph, "frame.scale", 1 / std))
    graph.insert_before(graph[0], nodes)
    image.replace_all_uses_with(nodes[-1].outputs[0])
    graph.inputs[0] = frame
    return model


def append_mask_tail(model: ir.Model, spec: ModelSpec) -> ir.Model:
    """Replace the output "logits" (N, C, h, w) by "mask", uint8 (N, H, W) at the input's size."""
    graph = model.graph
    logits = graph.outputs[0]
    classes = logits.shape[1] if logits.shape is not None else len(spec.labels)
    size = add_constant(graph, "mask.size", np.array([1, classes, spec.input.height, spec.input.width], np.int64))
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
