"""Fold a pooling of the image into the convolution after it, so that only convolutions read the image.

A mean over non-overlapping 2x2 positions followed by a 3x3 convolution is a 6x6 convolution with twice the stride,
whose weights repeat in 2x2 squares. It multiplies more and yet is faster in int8: no float image is written and read
before it, and nothing is rounded in between.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.graph.core import add_constant, constant

MAX_KERNEL = 2  # positions along a side of the pooling


def is_foldable_conv(node: ir.Node) -> bool:
    """Whether `node` is a convolution with one group, explicit padding, and constants that no other node reads."""
    return (
        node.op_type == "Conv"
        and node.attributes.get_int("group", 1) == 1
        and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
        and all(value is None or (constant(value) is not None and len(value.uses()) == 1) for value in node.inputs[1:])
    )


def fold_poolings(graph: ir.Graph, image: ir.Value) -> None:
    """Fold the poolings that read `image` (N, C, H, W) into the convolutions after them, in place, where possible."""
    for pooling in list(image.consumers()):
        readers = list(pooling.outputs[0].consumers())
        foldable = is_mean_of_squares(pooling, image) and not pooling.outputs[0].is_graph_output()
        if foldable and all(is_foldable_conv(node) and is_dense(node) for node in readers):
            for node in readers:
                enlarge_kernel(graph, node, tuple(pooling.attributes.get_ints("kernel_shape", ())))
                node.replace_input_with(0, image)
            graph.remove(pooling, safe=True)


def is_mean_of_squares(node: ir.Node, image: ir.Value) -> bool:
    """Whether `node` averages rectangles of at most MAX_KERNEL a side that cover `image` without overlap."""
    kernel = tuple(node.attributes.get_ints("kernel_shape", ())) if node.op_type == "AveragePool" else ()
    sides = () if image.shape is None else image.shape[2:]
    return (
        len(kernel) == 2
        and max(kernel) <= MAX_KERNEL
        and kernel == tuple(node.attributes.get_ints("strides", (1, 1)))
        and not any(node.attributes.get_ints("pads", ()))
        and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"
        and set(node.attributes.get_ints("dilations", ())) <= {1}
        and all(isinstance(side, int) and side % step == 0 for side, step in zip(sides, kernel))
    )


def is_dense(node: ir.Node) -> bool:
    """Whether `node` is a 2-D convolution without dilation."""
    weight = constant(node.inputs[1])
    return weight is not None and weight.ndim == 4 and set(node.attributes.get_ints("dilations", ())) <= {1}


def enlarge_kernel(graph: ir.Graph, node: ir.Node, by: tuple[int, ...]) -> None:
    """Let `node` read the image before a mean pooling of `by` (rows, columns) with the same output."""
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
