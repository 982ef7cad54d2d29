"""A pooling of the picture as part of the convolution behind it, so that convolutions alone read the picture.

A mean over 2x2 positions that do not overlap, and a convolution of 3x3 behind it, are one convolution of 6x6 with four
times the stride, whose weights stand in squares of four. It multiplies more, and yet is faster in int8: nobody reads
and writes a picture of floats before it, and nothing is rounded in between.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.core import add_constant, constant

LARGEST = 2  # positions that a pooling takes together along a side


def is_plain(node: ir.Node) -> bool:
    """Whether `node` is a convolution over all channels, with constants of its own, that says by how much it pads."""
    return (
        node.op_type == "Conv"
        and node.attributes.get_int("group", 1) == 1
        and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
        and all(value is None or (constant(value) is not None and len(value.uses()) == 1) for value in node.inputs[1:])
    )


def fold_poolings(graph: ir.Graph, picture: ir.Value) -> None:
    """Fold the poolings that read `picture` (N, C, H, W) into the convolutions behind them, in place, if possible."""
    for pooling in list(picture.consumers()):
        readers = list(pooling.outputs[0].consumers())
        foldable = is_mean_of_squares(pooling, picture) and not pooling.outputs[0].is_graph_output()
        if foldable and all(is_plain(node) and is_dense(node) for node in readers):
            for node in readers:
                enlarge(graph, node, tuple(pooling.attributes.get_ints("kernel_shape", ())))
                node.replace_input_with(0, picture)
            graph.remove(pooling, safe=True)


def is_mean_of_squares(node: ir.Node, picture: ir.Value) -> bool:
    """Whether `node` averages squares of at most LARGEST that cover `picture` and do not overlap."""
    kernel = tuple(node.attributes.get_ints("kernel_shape", ())) if node.op_type == "AveragePool" else ()
    sides = () if picture.shape is None else picture.shape[2:]
    return (
        len(kernel) == 2
        and max(kernel) <= LARGEST
        and kernel == tuple(node.attributes.get_ints("strides", (1, 1)))
        and not any(node.attributes.get_ints("pads", ()))
        and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
        and set(node.attributes.get_ints("dilations", ())) <= {1}
        and all(isinstance(side, int) and side % step == 0 for side, step in zip(sides, kernel))
    )


def is_dense(node: ir.Node) -> bool:
    """Whether the convolution `node` of planes reads neighbouring positions."""
    weight = constant(node.inputs[1])
    return weight is not None and weight.ndim == 4 and set(node.attributes.get_ints("dilations", ())) <= {1}


def enlarge(graph: ir.Graph, node: ir.Node, by: tuple[int, ...]) -> None:
    """Let `node` make of what was pooled `by` (rows, columns) what it makes of the mean."""
    old = cast(ir.Value, node.inputs[1])
    weight = cast("NDArray[np.float32]", constant(old))
    spread = np.kron(weight, np.full((1, 1, *by), 1 / np.prod(by), np.float32))
    node.replace_input_with(1, add_constant(graph, f"{node.name}/weight_of_pooled", spread))
    if old.is_initializer():
        del graph.initializers[str(old.name)]
    numbers = {
        "kernel_shape": weight.shape[2:],
        "strides": node.attributes.get_ints("strides", (1, 1)),
        "pads": node.attributes.get_ints("pads", (0, 0, 0, 0)),
    }
    for name, values in numbers.items():
        scaled = [value * by[index % 2] for index, value in enumerate(values)]
        node.attributes[name] = ir.AttrInt64s(name, scaled)
