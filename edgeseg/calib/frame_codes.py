"""The frame's own bytes as the codes that the first convolutions read: nothing is normalised, and nothing rounded.

A convolution by W of the normalised picture (p - mean) * k is one by W * k of p - z, for any z, and the sum of
W * k * (z - mean) on its bias: so the codes of its input, with a scale of 1 and z as their zero point, are the bytes p.
Only the border differs: the zeros around the picture stand for the grey z in place of the mean colour, which is why z
is the mean of the means, and why small pictures, which are much border, keep their normalisation.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.calib.placement import Placement
from edgeseg.calib.range import ChannelStats, RangeTable, TensorStats
from edgeseg.graph.core import constant, core_from_model
from edgeseg.graph.frame_bytes import comes_of_bytes
from edgeseg.graph.identity import tensor_ids
from edgeseg.graph.qdq import add_constant

Floats = NDArray[np.float64]
SMALLEST_SIDE = 256  # of a picture whose border hardly counts


@dataclass(frozen=True)
class Normalised:
    """The normalisation of a deploy graph: `value` is (pixels - mean) * factor. mean, factor: (3,)."""

    pixels: ir.Value
    value: ir.Value
    mean: Floats
    factor: Floats


def centred(model: ir.Model, table: RangeTable, placement: Placement) -> tuple[ir.Model, RangeTable]:
    """A copy of the float `model` whose first convolutions read p - z, and its range table; both as they are elsewhere.

    Elsewhere: where something else reads the picture, too (a pooling, a convolution that stays float), where it is
    small, or where the graph does not begin with uint8, Cast and a normalisation. placement: of `model`.
    """
    names = {node.name for node in placement.weighted}
    copy = ir.from_proto(ir.to_proto(model))
    found = normalised(copy)
    readers = [] if found is None or is_small(found.value) else list(found.value.consumers())
    if found is None or not readers or not all(node.name in names and is_plain(node) for node in readers):
        return model, table
    key, zero = tensor_ids(model)[str(found.value.name)], int(np.clip(round(float(found.mean.mean())), 0, 255))
    for node in readers:
        refold(copy.graph, node, found, zero)
    begin_with_bytes(copy.graph, found, zero, readers)
    rows = {**table.tensors, key: byte_stats(table.tensors[key], found, zero)}
    return copy, dataclasses.replace(table, tensors=rows).moved(model, copy)


def normalised(model: ir.Model) -> Normalised | None:
    """The normalisation, where it is a Sub and a Mul or Div, or less, behind bytes that were only moved."""
    end = core_from_model(model).input
    value, factor = before_constant(end, ("Mul", "Div"))
    if (node := end.producer()) is not None and node.op_type == "Div":
        factor = 1 / factor
    value, mean = before_constant(value, ("Sub",), of_nothing=0.0)
    return Normalised(value, end, mean, factor) if comes_of_bytes(value) else None


def before_constant(value: ir.Value, operators: tuple[str, ...], of_nothing: float = 1.0) -> tuple[ir.Value, Floats]:
    """What one of `operators` with a constant (or three, by channel) behind it made `value` of, and the constant."""
    node = value.producer()
    array = constant(node.inputs[1]) if node is not None and node.op_type in operators else None
    if node is None or array is None or array.size not in (1, 3):
        return value, np.full(3, of_nothing)
    return cast(ir.Value, node.inputs[0]), np.broadcast_to(array.reshape(-1), 3).astype(np.float64)


def is_small(picture: ir.Value) -> bool:
    """Whether a side of `picture` (N, C, H, W) is below SMALLEST_SIDE, or not known."""
    sides = [] if picture.shape is None else [side for side in picture.shape[2:] if isinstance(side, int)]
    return len(sides) != 2 or min(sides) < SMALLEST_SIDE


def is_plain(node: ir.Node) -> bool:
    """Whether `node` is a convolution over all channels with constants of its own."""
    return (
        node.op_type == "Conv"
        and node.attributes.get_int("group", 1) == 1
        and all(value is None or (constant(value) is not None and len(value.uses()) == 1) for value in node.inputs[1:])
    )


def refold(graph: ir.Graph, node: ir.Node, found: Normalised, zero: int) -> None:
    """Give `node` the weight and bias that make of p - zero what it made of the normalised picture."""
    weight = cast("NDArray[np.float32]", constant(node.inputs[1])).astype(np.float64)
    along = (1, -1, *[1] * (weight.ndim - 2))
    scaled = weight * found.factor.reshape(along)
    shift = (scaled * (zero - found.mean).reshape(along)).sum(axis=tuple(range(1, weight.ndim)))
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 else None
    values = (scaled, shift if bias is None else bias + shift)
    new = [add_constant(graph, f"{node.name}/{what}_of_bytes", value.astype(np.float32))
           for what, value in zip(("weight", "bias"), values)]  # fmt: skip
    old = [value for value in node.inputs[1:] if value is not None]
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    for index, value in enumerate(new, start=1):
        node.replace_input_with(index, value)
    for value in old:
        if value.is_initializer():
            del graph.initializers[str(value.name)]


def begin_with_bytes(graph: ir.Graph, found: Normalised, zero: int, readers: list[ir.Node]) -> None:
    """Let `readers` read `pixels - zero` in the place, and under the name, of the normalised picture."""
    old, name = found.value, str(found.value.name)
    subtract = ir.node("Sub", [found.pixels, add_constant(graph, f"{name}.zero", np.float32(zero))], name=f"{name}/Sub")
    new = subtract.outputs[0]
    new.dtype, new.shape = old.dtype, old.shape
    graph.insert_after(cast(ir.Node, found.pixels.producer()), subtract)
    for node in readers:
        node.replace_input_with(0, new)
    node = cast(ir.Node, old.producer())
    while node.outputs[0] is not found.pixels:
        before = cast(ir.Node, cast(ir.Value, node.inputs[0]).producer())
        graph.remove(node, safe=True)
        node = before
    old.name, new.name = f"{name}.pixels", name


def byte_stats(stats: TensorStats, found: Normalised, zero: int) -> TensorStats:
    """The row of the picture as p - zero. Its codes are given, so that no histogram has to tell how to choose them."""
    known = stats.channels
    if known is not None:
        mean = known.mean / found.factor + found.mean - zero
        known = ChannelStats(mean.astype(np.float32), np.full(3, max(zero, 255 - zero), np.float32))
    return dataclasses.replace(stats, minimum=float(-zero), maximum=float(255 - zero), channels=known)
