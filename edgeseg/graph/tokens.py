"""Where a feature map is flattened to tokens with the channels last, transpose before reshaping instead of after.

    (N, C, H, W) -Reshape-> (N, C, H*W) -Transpose-> (N, H*W, C)    becomes
    (N, C, H, W) -Transpose-> (N, H, W, C) -Reshape-> (N, H*W, C)

The result is the same. Directly behind a convolution with channels-last memory the Transpose costs nothing. Behind a
Reshape it does: OpenVINO moves the scales of an int8 convolution between the two.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgeseg.graph.core import add_constant, first_input, is_read_once, new_node

FLATTENED, TOKENS_LAST = [0, 2, 1], [0, 2, 3, 1]


def transpose_before_flattening(model: ir.Model) -> ir.Model:
    """Swap every such Reshape and Transpose of `model`, in place."""
    for node in list(model.graph):
        reshape = flattening_before(node)
        if reshape is not None:
            swap(model.graph, reshape, node)
    return model


def flattening_before(node: ir.Node) -> ir.Node | None:
    """The Reshape that flattens a map, if `node` is its only reader and the Transpose that puts the channels last."""
    if node.op_type != "Transpose" or list(node.attributes.get_ints("perm", ())) != FLATTENED:
        return None
    flat = first_input(node)
    reshape = flat.producer()
    if reshape is None or reshape.op_type != "Reshape" or not is_read_once(flat):
        return None
    before, after = dimensions(reshape.inputs[0]), dimensions(flat)
    flattens = len(before) == 4 and len(after) == 3 and before[:2] == after[:2]
    return reshape if flattens and not node.outputs[0].is_graph_output() else None


def dimensions(value: ir.Value | None) -> tuple[int, ...]:
    """The shape of `value`; () if a side is unknown."""
    shape = None if value is None else value.shape
    return tuple(shape.numpy()) if shape is not None and shape.is_static() else ()


def swap(graph: ir.Graph, reshape: ir.Node, transpose: ir.Node) -> None:
    """Replace `reshape` and `transpose` by a Transpose and a Reshape with the same names."""
    image, tokens = first_input(reshape), transpose.outputs[0]
    count, channels, height, width = dimensions(image)
    shape = add_constant(graph, f"{tokens.name}_shape", np.array([count, height * width, channels], np.int64))
    last = new_node(
        "Transpose", [image], {"perm": TOKENS_LAST}, name=str(transpose.name), output=f"{tokens.name}_map",
        dtype=image.dtype, shape=(count, height, width, channels),
    )  # fmt: skip
    flat = new_node(
        "Reshape", [last.outputs[0], shape], name=str(reshape.name), output=str(tokens.name),
        dtype=image.dtype, shape=tokens.shape,
    )  # fmt: skip
    graph.insert_before(transpose, [last, flat])
    for user, index in tokens.uses():
        user.replace_input_with(index, flat.outputs[0])
    graph.remove([transpose, reshape], safe=True)
