"""The frame's own bytes as the codes that the first convolutions read: nothing is normalised, and nothing rounded.

A convolution by W of the normalised picture (p - mean) * k is one by W * k of p - z, for any z, and the sum of
W * k * (z - mean) on its bias. With z the mean colour in whole bytes, zeros around p - z are the zeros that were around
the normalised picture, up to half a grey level; graph.frame_bytes takes the subtraction away.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.calib.placement import Placement
from edgeseg.calib.pooling import fold_poolings, is_plain
from edgeseg.calib.range import ChannelStats, RangeTable, TensorStats
from edgeseg.graph.core import add_constant, constant, core_from_model
from edgeseg.graph.fold_input_normalisation import frame_of
from edgeseg.graph.identity import tensor_ids

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Normalised:
    """The normalisation of a deploy graph: `value` is (pixels - mean) * factor, its channels in the order `places`.

    mean, factor: (3,), of the pixels' channels. places: of each of these, where it is in `value`.
    """

    pixels: ir.Value
    value: ir.Value
    mean: Floats
    factor: Floats
    places: NDArray[np.int64]


def centred(model: ir.Model, table: RangeTable, placement: Placement) -> tuple[ir.Model, RangeTable]:
    """A copy of the float `model` whose first convolutions read p - z, and its range table; both as they are elsewhere.

    Elsewhere: where something else reads the picture, too (a convolution that stays float, a pooling that cannot be
    folded), where no other layer is quantised, or where the graph does not begin with uint8, Cast
    and a normalisation. placement: of `model`.
    """
    names = {node.name for node in placement.weighted}
    copy = ir.from_proto(ir.to_proto(model))
    found = normalised(copy)
    if found is None:
        return model, table
    fold_poolings(copy.graph, found.value)
    readers = list(found.value.consumers())
    first = {node.name for node in readers}
    if not first or not first < names or not all(is_plain(node) for node in readers):
        return model, table
    key, zero = tensor_ids(model)[str(found.value.name)], found.mean.round().clip(0, 255)
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
    value, places = before_order(value)
    return Normalised(value, end, mean[places], factor[places], places) if frame_of(value) is not None else None


def before_constant(value: ir.Value, operators: tuple[str, ...], of_nothing: float = 1.0) -> tuple[ir.Value, Floats]:
    """What one of `operators` with a constant (or three, by channel) behind it made `value` of, and the constant."""
    node = value.producer()
    array = constant(node.inputs[1]) if node is not None and node.op_type in operators else None
    if node is None or array is None or array.size not in (1, 3):
        return value, np.full(3, of_nothing)
    return cast(ir.Value, node.inputs[0]), np.broadcast_to(array.reshape(-1), 3).astype(np.float64)


def before_order(value: ir.Value) -> tuple[ir.Value, NDArray[np.int64]]:
    """What `value` (N, 3, H, W) is in another order of channels, and where each of its channels went."""
    node = value.producer()
    order = constant(node.inputs[1]) if node is not None and node.op_type == "Gather" else None
    if node is None or order is None or node.attributes.get_int("axis", 0) != 1 or sorted(order.ravel()) != [0, 1, 2]:
        return value, np.arange(3)
    return cast(ir.Value, node.inputs[0]), np.argsort(order.ravel())


def refold(graph: ir.Graph, node: ir.Node, found: Normalised, zero: Floats) -> None:
    """Give `node` the weight and bias that make of p - zero what it made of the normalised picture."""
    weight = cast("NDArray[np.float32]", constant(node.inputs[1])).astype(np.float64)[:, found.places]
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


def begin_with_bytes(graph: ir.Graph, found: Normalised, zero: Floats, readers: list[ir.Node]) -> None:
    """Let `readers` read `pixels - zero` in the place, and under the name, of the normalised picture."""
    old, name = found.value, str(found.value.name)
    zeros = add_constant(graph, f"{name}.zero", zero.astype(np.float32).reshape(1, -1, 1, 1))
    subtract = ir.node("Sub", [found.pixels, zeros], name=f"{name}/Sub")
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


def byte_stats(stats: TensorStats, found: Normalised, zero: Floats) -> TensorStats:
    """The row of the picture as p - zero. Its codes are given, so that no histogram has to tell how to choose them."""
    known, least, largest = stats.channels, float(-zero.max()), float(255 - zero.min())
    if known is not None:
        mean = known.mean[found.places] / found.factor + found.mean - zero
        absmax = np.broadcast_to(np.maximum(zero, 255 - zero), 3)
        known = ChannelStats(mean.astype(np.float32), absmax.astype(np.float32))
    return dataclasses.replace(stats, minimum=least, maximum=largest, channels=known)
