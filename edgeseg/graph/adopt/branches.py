"""A batch norm behind a Concat, put before it: behind a convolution it folds into the weights, where INT8 wants it."""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx_ir as ir

from edgeseg.graph.core import add_constant, constant, infer_types, is_read_once


def normalise_branches(model: ir.Model) -> bool:
    """Put each batch norm that alone reads a Concat with a convolution before that Concat, in place.

    Whether there was one.
    """
    found = [node for node in model.graph if node.op_type == "BatchNormalization" and is_behind_branches(node)]
    for norm in found:
        move_before_concat(infer_types(model).graph, norm)
    return bool(found)


def is_behind_branches(norm: ir.Node) -> bool:
    """Whether `norm` alone reads a Concat of channels, and a convolution that nobody else reads enters that."""
    value = cast(ir.Value, norm.inputs[0])
    concat = value.producer()
    return (
        concat is not None
        and concat.op_type == "Concat"
        and concat.attributes.get_int("axis", 0) == 1
        and is_read_once(value)
        and not norm.outputs[0].is_graph_output()
        and any(is_read_once(branch) and is_convolution(branch) for branch in concat.inputs if branch is not None)
        and all(constant(parameter) is not None for parameter in norm.inputs[1:])
    )


def is_convolution(value: ir.Value) -> bool:
    """Whether `value` comes straight out of a convolution."""
    node = value.producer()
    return node is not None and node.op_type == "Conv"


def move_before_concat(graph: ir.Graph, norm: ir.Node) -> None:
    """Give each branch of the Concat that `norm` reads its own part of `norm`, and drop that.

    Nothing is done where the channels of a branch are not known.
    """
    concat = cast(ir.Node, cast(ir.Value, norm.inputs[0]).producer())
    branches = [branch for branch in concat.inputs if branch is not None]
    widths = [branch.shape[1] for branch in branches if branch.shape is not None]
    if len(widths) < len(branches) or not all(isinstance(width, int) for width in widths):
        return
    ends = np.cumsum(np.array(widths, np.int64))[:-1]
    parts = zip(*(np.split(cast(np.ndarray, constant(value)), ends) for value in norm.inputs[1:]))
    for index, (branch, values) in enumerate(zip(branches, parts)):
        name = f"{norm.name}/{index}"
        parameters = [add_constant(graph, f"{name}/{part}", array) for part, array in enumerate(values)]
        own = ir.node(norm.op_type, [branch, *parameters], norm.attributes, name=name)
        own.outputs[0].name, own.outputs[0].dtype, own.outputs[0].shape = name, branch.dtype, branch.shape
        graph.insert_before(concat, own)
        concat.replace_input_with(index, own.outputs[0])
    for user, index in norm.outputs[0].uses():
        user.replace_input_with(index, concat.outputs[0])
    graph.remove(norm, safe=True)
