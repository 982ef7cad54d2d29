"""Fold the input normalisation into the first convolutions, which then read the frame's uint8 pixels as their codes.

A convolution with W of the normalised image (p - mean) * k equals one with W * k of p - z, for any z, with the sum of
W * k * (z - mean) added to its bias. With z the mean colour in whole bytes, zero padding of p - z equals zero padding
of the normalised image up to half a grey level. graph.fold_input_normalisation then removes the subtraction of z.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.calib.placement import Placement
from edgeseg.calib.pooling import fold_poolings, is_foldable_conv
from edgeseg.calib.range import ChannelStats, RangeTable, TensorStats
from edgeseg.graph.core import add_constant, constant, core_from_model
from edgeseg.graph.fold_input_normalisation import frame_of
from edgeseg.graph.identity import tensor_ids

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Normalisation:
    """The input normalisation of a deploy graph: `value` is (pixels - mean) * factor.

    mean, factor: (3,), in the order of the pixels' channels. places: the index of each pixel channel in `value`.
    """

    pixels: ir.Value
    value: ir.Value
    mean: Floats
    factor: Floats
    places: NDArray[np.int64]


def fold_normalisation(model: ir.Model, table: RangeTable, placement: Placement) -> tuple[ir.Model, RangeTable]:
    """A copy of the float `model` whose first convolutions read p - z, and its range table. placement: of `model`.

    Both are returned unchanged where another node reads the image (a convolution that stays float, a pooling that
    cannot be folded), where no other layer is quantised, or where the graph does not begin with uint8, Cast and a
    normalisation.
    """
    quantised = {node.name for node in placement.weighted}
    copy = ir.from_proto(ir.to_proto(model))
    normalisation = normalisation_of(copy)
    if normalisation is None:
        return model, table
    fold_poolings(copy.graph, normalisation.value)
    readers = list(normalisation.value.consumers())
    first = {node.name for node in readers}
    if not first or not first < quantised or not all(is_foldable_conv(node) for node in readers):
        return model, table
    key, zero = tensor_ids(model)[str(normalisation.value.name)], normalisation.mean.round().clip(0, 255)
    for node in readers:
        fold_into(copy.graph, node, normalisation, zero)
    replace_by_subtraction(copy.graph, normalisation, zero, readers)
    rows = {**table.tensors, key: subtraction_stats(table.tensors[key], normalisation, zero)}
    return copy, dataclasses.replace(table, tensors=rows).transferred(model, copy)


def normalisation_of(model: ir.Model) -> Normalisation | None:
    """The normalisation, where it is at most a Sub and a Mul or Div of the frame; None for another one."""
    end = core_from_model(model).input
    value, factor = split_constant(end, ("Mul", "Div"))
    if (node := end.producer()) is not None and node.op_type == "Div":
        factor = 1 / factor
    value, mean = split_constant(value, ("Sub",), default=0.0)
    value, places = split_channel_order(value)
    return Normalisation(value, end, mean[places], factor[places], places) if frame_of(value) is not None else None


def split_constant(value: ir.Value, operators: tuple[str, ...], default: float = 1.0) -> tuple[ir.Value, Floats]:
    """The first input and the constant, (3,), of the node of `operators` that gives `value`.

    `value` itself and `default` where no such node gives it.
    """
    node = value.producer()
    array = constant(node.inputs[1]) if node is not None and node.op_type in operators else None
    if node is None or array is None or array.size not in (1, 3):
        return value, np.full(3, default)
    return cast(ir.Value, node.inputs[0]), np.broadcast_to(array.reshape(-1), 3).astype(np.float64)


def split_channel_order(value: ir.Value) -> tuple[ir.Value, NDArray[np.int64]]:
    """The input of the Gather that reorders the channels of `value` (N, 3, H, W), and where each channel went."""
    node = value.producer()
    order = constant(node.inputs[1]) if node is not None and node.op_type == "Gather" else None
    if node is None or order is None or node.attributes.get_int("axis", 0) != 1 or sorted(order.ravel()) != [0, 1, 2]:
        return value, np.arange(3)
    return cast(ir.Value, node.inputs[0]), np.argsort(order.ravel())


def fold_into(graph: ir.Graph, node: ir.Node, normalisation: Normalisation, zero: Floats) -> None:
    """Replace weight and bias of `node` such that it gives for p - zero what it gave for the normalised image."""
    weight = cast("NDArray[np.float32]", constant(node.inputs[1])).astype(np.float64)[:, normalisation.places]
    shape = (1, -1, *[1] * (weight.ndim - 2))
    scaled = weight * normalisation.factor.reshape(shape)
    shift = (scaled * (zero - normalisation.mean).reshape(shape)).sum(axis=tuple(range(1, weight.ndim)))
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


def replace_by_subtraction(graph: ir.Graph, normalisation: Normalisation, zero: Floats, readers: list[ir.Node]) -> None:
    """Let `readers` read `pixels - zero` instead of the normalised image, under its name."""
    pixels, old, name = normalisation.pixels, normalisation.value, str(normalisation.value.name)
    zeros = add_constant(graph, f"{name}.zero", zero.astype(np.float32).reshape(1, -1, 1, 1))
    subtract = ir.node("Sub", [pixels, zeros], name=f"{name}/Sub")
    new = subtract.outputs[0]
    new.dtype, new.shape = old.dtype, old.shape
    graph.insert_after(cast(ir.Node, pixels.producer()), subtract)
    for node in readers:
        node.replace_input_with(0, new)
    node = cast(ir.Node, old.producer())
    while node.outputs[0] is not pixels:
        before = cast(ir.Node, cast(ir.Value, node.inputs[0]).producer())
        graph.remove(node, safe=True)
        node = before
    old.name, new.name = f"{name}.pixels", name


def subtraction_stats(stats: TensorStats, normalisation: Normalisation, zero: Floats) -> TensorStats:
    """The row of the image as p - zero. Its codes are fixed, so the histogram, which stays, has no influence."""
    channels, minimum, maximum = stats.channels, float(-zero.max()), float(255 - zero.min())
    if channels is not None:
        mean = channels.mean[normalisation.places] / normalisation.factor + normalisation.mean - zero
        absmax = np.broadcast_to(np.maximum(zero, 255 - zero), 3)
        channels = ChannelStats(mean.astype(np.float32), absmax.astype(np.float32))
    return dataclasses.replace(stats, minimum=minimum, maximum=maximum, channels=channels)
