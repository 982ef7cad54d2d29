"""A map flattened to tokens with the channels last: transposed first, then reshaped, rather than the other way round.

    (N, C, H, W) -Reshape-> (N, C, H*W) -Transpose-> (N, H*W, C)    becomes
    (N, C, H, W) -Transpose-> (N, H, W, C) -Reshape-> (N, H*W, C)

The numbers are the same. Behind a convolution that keeps its channels last in memory the Transpose is no work, but only
where the two touch: OpenVINO moves the scales of an int8 convolution behind a Reshape, and then they stand in between.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx_ir as ir

from edgeseg.graph.qdq import add_constant

FLATTENED, TOKENS_LAST = [0, 2, 1], [0, 2, 3, 1]


def transpose_before_flattening(model: ir.Model) -> ir.Model:
    """Swap every such Reshape and Transpose of `model`, in place."""
    for node in list(model.graph):
        reshape = flattening_before(node)
        if reshape is not None:
            swap(model.graph, reshape, node)
    return model


def flattening_before(node: ir.Node) -> ir.Node | None:
    """The Reshape that flattens a map, where `node` is the Transpose that alone reads it and puts its channels last."""
    if node.op_type != "Transpose" or list(node.attributes.get_ints("perm", ())) != FLATTENED:
        return None
    flat = cast(ir.Value, node.inputs[0])
    reshape = flat.producer()
    if reshape is None or reshape.op_type != "Reshape" or len(flat.uses()) != 1 or flat.is_graph_output():
        return None
    before, after = dimensions(reshape.inputs[0]), dimensions(flat)
    flattens = len(before) == 4 and len(after) == 3 and before[:2] == after[:2]
    return reshape if flattens and not node.outputs[0].is_graph_output() else None


def dimensions(value: ir.Value | None) -> tuple[int, ...]:
    """The shape of `value`; () where a side is not known."""
    shape = None if value is None else value.shape
    return tuple(shape.numpy()) if shape is not None and shape.is_static() else ()


def swap(graph: ir.Graph, reshape: ir.Node, transpose: ir.Node) -> None:
    """Put a Transpose and a Reshape of the same names in the places of `reshape` and `transpose`."""
    image, tokens = cast(ir.Value, reshape.inputs[0]), transpose.outputs[0]
    count, channels, height, width = dimensions(image)
    shape = add_constant(graph, f"{tokens.name}_shape", np.array([count, height * width, channels], np.int64))
    last = ir.node("Transpose", [image], {"perm": TOKENS_LAST}, name=transpose.name)
    flat = ir.node("Reshape", [last.outputs[0], shape], name=reshape.name)
    last.outputs[0].name, last.outputs[0].shape = f"{tokens.name}_map", ir.Shape((count, height, width, channels))
    flat.outputs[0].name, flat.outputs[0].shape = tokens.name, tokens.shape
    last.outputs[0].dtype = flat.outputs[0].dtype = image.dtype
    graph.insert_before(transpose, [last, flat])
    for user, index in tokens.uses():
        user.replace_input_with(index, flat.outputs[0])
    graph.remove([transpose, reshape], safe=True)
