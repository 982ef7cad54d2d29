"""Let a graph of one image take any number of images at once. N images give what N times one image gives."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgeseg.errors import MismatchError
from edgeseg.graph.batch_axis import BATCH, batch_axis_of, batch_first, length, refusal
from edgeseg.graph.core import add_constant, constant, infer_types


def with_dynamic_batch(model: ir.Model) -> ir.Model:
    """Let `model`, whose input is (1, H, W, 3), take (N, H, W, 3), in place.

    MismatchError, naming the node, where images of a batch would mix; do not use the model after that.
    """
    infer_types(model)
    image = next(value for value in model.graph.inputs if value.name not in model.graph.initializers)
    if image.shape is None or len(image.shape) != 4 or length(image, 0) != 1:
        raise MismatchError(
            f"input {image.name} has the shape {image.shape}, not (1, H, W, 3)",
            hint="take the ONNX that edgeseg export writes",
            code="ES-MISMATCH-BATCH",
        )
    batch_axes: dict[ir.Value, int] = {image: 0}
    for node in list(model.graph):
        if any(value in batch_axes for value in node.inputs):
            rule = {"Reshape": free_reshape, "Resize": free_resize}.get(node.op_type, batch_axis_of)
            batch_axes.update(dict.fromkeys(node.outputs, rule(node, batch_axes)))
    for value, batch_axis in batch_axes.items():
        if value.shape is not None:
            shape = list(value.shape)
            value.shape = ir.Shape([*shape[:batch_axis], BATCH, *shape[batch_axis + 1 :]])
    RemoveUnusedNodesPass()(model)
    return model


def free_reshape(node: ir.Node, batch_axes: dict[ir.Value, int]) -> int:
    """Let a Reshape that starts with the batch copy its length."""
    shape = constant(node.inputs[1])
    if shape is None or batch_axes.get(node.inputs[0]) != 0 or shape[0] not in (0, 1):
        raise refusal(node, "has a fixed output shape")
    if shape[0] == 1:
        target = add_constant(graph_of(node), f"{node.name}/shape", np.array([0, *shape[1:]], np.int64))
        node.replace_input_with(1, target)
        node.attributes.pop("allowzero", None)
    return 0


def free_resize(node: ir.Node, batch_axes: dict[ir.Value, int]) -> int:
    """Let a Resize to a size enlarge by factors, or take N from the image where factors may round to another size."""
    batch_axis = batch_first(node, batch_axes)
    sizes = constant(node.inputs[3]) if len(node.inputs) > 3 else None
    scales = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    if sizes is None and scales is None:
        raise refusal(node, "computes its output size")
    if sizes is None or "axes" in node.attributes:
        return batch_axis
    after = [int(size) for size in sizes]
    factors = exact_factors([length(node.inputs[0], axis) for axis in range(len(after))], after)
    if factors is None:
        node.replace_input_with(3, sizes_with_batch(node, next(iter(batch_axes)), after))
        return batch_axis
    node.replace_input_with(2, add_constant(graph_of(node), f"{node.name}/scales", factors))
    node.replace_input_with(3, None)
    node.resize_inputs(3)
    return batch_axis


def exact_factors(before: Sequence[int | None], after: Sequence[int]) -> np.ndarray | None:
    """The factors as float32, if every runtime finds `after` with them; None if a rounding may give one less."""
    lengths = [b or a for a, b in zip(after, before)]
    factors = np.divide(after, lengths).astype(np.float32)
    exact = factors.astype(np.float64) * lengths == after
    return factors if exact.all() else None


def sizes_with_batch(node: ir.Node, image: ir.Value, sizes: Sequence[int]) -> ir.Value:
    """(N, *sizes[1:]) for `node`, with N from `image`, the graph's input.

    With N from the node's own input ONNX Runtime would round that tensor to fp16, which it keeps in fp32 for one image.
    """
    graph = graph_of(node)
    count = ir.node("Shape", [image], {"start": 0, "end": 1}, name=f"{node.name}/Shape")
    rest = add_constant(graph, f"{node.name}/sizes", np.array(sizes[1:], np.int64))
    joined = ir.node("Concat", [count.outputs[0], rest], {"axis": 0}, name=f"{node.name}/Concat")
    for new, size in ((count, 1), (joined, len(sizes))):
        output = new.outputs[0]
        output.name, output.dtype, output.shape = new.name, ir.DataType.INT64, ir.Shape([size])
    graph.insert_before(node, [count, joined])
    return joined.outputs[0]


def graph_of(node: ir.Node) -> ir.Graph:
    """The graph that `node` is in."""
    assert isinstance(node.graph, ir.Graph)
    return node.graph
