"""Move batch norms from behind a Concat to its branches. Behind a convolution they can be folded into the weights."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx_ir as ir

from edgeseg.graph.core import add_constant, constant, first_input, infer_types, is_read_once, made_by, new_node


def move_norms_before_concats(model: ir.Model) -> bool:
    """Move each batch norm that is the only reader of a Concat with a convolution, in place. True if there was one."""
    norms = [node for node in model.graph if node.op_type == "BatchNormalization" and is_movable_norm(node)]
    for norm in norms:
        move_before_concat(infer_types(model).graph, norm)
    return bool(norms)


def is_movable_norm(norm: ir.Node) -> bool:
    """Whether `norm` is the only reader of a Concat of channels, which is the only reader of a convolution."""
    value = first_input(norm)
    concat = value.producer()
    return (
        concat is not None
        and concat.op_type == "Concat"
        and concat.attributes.get_int("axis", 0) == 1
        and is_read_once(value)
        and not norm.outputs[0].is_graph_output()
        and any(is_read_once(branch) and made_by(branch, "Conv") for branch in concat.inputs if branch is not None)
        and all(constant(parameter) is not None for parameter in norm.inputs[1:])
    )


def move_before_concat(graph: ir.Graph, norm: ir.Node) -> None:
    """Replace `norm` by a batch norm on each branch of the Concat before it, with the parameters of its channels.

    Nothing changes if the number of channels of a branch is unknown.
    """
    concat = cast(ir.Node, first_input(norm).producer())
    branches = [branch for branch in concat.inputs if branch is not None]
    widths = [branch.shape[1] for branch in branches if branch.shape is not None]
    if len(widths) < len(branches) or not all(isinstance(width, int) for width in widths):
        return
    ends = np.cumsum(np.array(widths, np.int64))[:-1]
    parts = zip(*(np.split(cast(np.ndarray, constant(value)), ends) for value in norm.inputs[1:]))
    for index, (branch, values) in enumerate(zip(branches, parts)):
        name = f"{norm.name}/{index}"
        parameters = [add_constant(graph, f"{name}/{part}", array) for part, array in enumerate(values)]
        part_norm = new_node(
            norm.op_type, [branch, *parameters], norm.attributes, name=name, dtype=branch.dtype, shape=branch.shape
        )
        graph.insert_before(concat, part_norm)
        concat.replace_input_with(index, part_norm.outputs[0])
    for user, index in norm.outputs[0].uses():
        user.replace_input_with(index, concat.outputs[0])
    graph.remove(norm, safe=True)
