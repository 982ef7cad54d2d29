"""Cross-layer equalisation: channels of like magnitude between two convolutions, so that one scale suits them all.

Between two convolutions with at most a ReLU between them, channel i divided by s_i in the first weight and multiplied
by s_i in the second changes nothing: a ReLU gives s f(x) = f(s x) for s > 0. Nagel et al. 2019 (arXiv 1906.04721,
section 4.1) even out the weights so. With a weight scale an output channel, the first weight is rounded as before
whatever its s_i; what there is to gain lies in the activation, which has one scale for all its channels, and what there
is to lose in the second weight. So s_i = sqrt(activation_i / weight_i), as SmoothQuant has it (arXiv 2211.10438,
equation 4 with alpha 1/2), of the largest magnitudes in the channel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgeseg.calib.bias import check_channels
from edgeseg.calib.histogram import Histogram
from edgeseg.calib.placement import placement_from_model
from edgeseg.calib.range import ChannelStats, RangeTable, TensorStats
from edgeseg.graph.core import add_constant, constant
from edgeseg.graph.identity import tensor_ids

SMALLEST_SHARE = 1 / 64  # of the largest channel: what lies below is noise, and would make huge weights
EVEN_VALUES = 4096

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Joint:
    """Two convolutions, and the tensors between them: what the first gives, and behind the activation, if any."""

    first: ir.Node
    second: ir.Node
    between: tuple[ir.Value, ...]


def equalized(model: ir.Model, table: RangeTable) -> tuple[ir.Model, RangeTable]:
    """A copy of the float `model` that computes the same with evened channels, and its range table.

    MismatchError where `table` is of another network, or knows no channels.
    """
    table.check(model)
    check_channels(table)
    ids = tensor_ids(model)
    copy = ir.from_proto(ir.to_proto(model))
    rows = dict(table.tensors)
    for joint in joints(copy):
        keys = [ids[str(value.name)] for value in joint.between]
        channels = table.tensors[keys[-1]].channels
        if channels is not None and np.any(channels.absmax):
            factors = channel_factors(channels.absmax, joint.second)
            scale_joint(copy.graph, joint, factors)
            rows.update({key: scaled_stats(table.tensors[key], channels, factors) for key in keys})
    return copy, dataclasses.replace(table, tensors=rows).moved(model, copy)


def joints(model: ir.Model) -> Iterator[Joint]:
    """The places between two convolutions, in the graph's order, where nothing else reads what passes."""
    for node in placement_from_model(model).weighted:
        between = [cast(ir.Value, node.inputs[0])]
        producer = between[0].producer()
        if producer is not None and producer.op_type == "Relu":  # a ReLU6 clips at a value of its own
            between.insert(0, cast(ir.Value, producer.inputs[0]))
            producer = between[0].producer()
        if producer is not None and is_own(producer) and is_own(node) and all(map(is_read_once, between)):
            yield Joint(producer, node, tuple(between))


def is_read_once(value: ir.Value) -> bool:
    """Whether one node alone reads `value`."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def is_own(node: ir.Node) -> bool:
    """Whether `node` is a convolution whose weight and bias are constants that no other node reads."""
    if node.op_type != "Conv":
        return False
    return all(value is None or (constant(value) is not None and len(value.uses()) == 1) for value in node.inputs[1:])


def channel_factors(absmax: NDArray[np.float32], node: ir.Node) -> Floats:
    """The s of each channel of the activation with those magnitudes, which enters `node`; the largest one stays.

    A depthwise weight has a scale for each of these channels, so it loses nothing: there, the channels come out even.
    """
    activation, weight = evened(absmax), evened(input_magnitudes(node))
    depthwise = weight_of(node).shape[1] == 1
    factors = activation if depthwise else np.sqrt(activation / weight)
    kept: Floats = factors * (np.max(absmax / factors) / np.max(absmax))
    return kept


def evened(magnitudes: NDArray[np.float32] | Floats) -> Floats:
    """Magnitudes relative to the largest, none below SMALLEST_SHARE."""
    largest = float(np.max(magnitudes))
    return np.maximum(magnitudes.astype(np.float64) / largest, SMALLEST_SHARE) if largest else np.ones(len(magnitudes))


def input_magnitudes(node: ir.Node) -> Floats:
    """By input channel: the largest weight, relative to the largest of its output channel, which sets its scale."""
    weight = np.abs(weight_of(node).astype(np.float64))
    weight = weight.max(axis=tuple(range(2, weight.ndim)))
    relative = weight / np.maximum(weight.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    magnitudes: Floats = by_group(relative, node).max(axis=1).reshape(-1)
    return magnitudes


def scale_joint(graph: ir.Graph, joint: Joint, factors: Floats) -> None:
    """Divide the output channels of the first convolution by `factors`, multiply the input channels of the second."""
    for index, values in enumerate(joint.first.inputs[1:], start=1):
        if values is not None:
            array = cast("NDArray[np.float32]", constant(values))
            along = factors.reshape(-1, *[1] * (array.ndim - 1))
            replace_constant(graph, joint.first, index, array / along)
    weight = weight_of(joint.second)
    groups = by_group(weight, joint.second)
    along = factors.reshape(groups.shape[0], 1, groups.shape[2], *[1] * (groups.ndim - 3))
    replace_constant(graph, joint.second, 1, (groups * along).reshape(weight.shape))


def weight_of(node: ir.Node) -> NDArray[np.float32]:
    """The weight of a convolution, (O, I / groups, ...)."""
    return cast("NDArray[np.float32]", constant(node.inputs[1]))


def by_group(weight: NDArray[np.float32] | Floats, node: ir.Node) -> NDArray[np.float32] | Floats:
    """A weight (O, I / G, ...) as (G, O / G, I / G, ...)."""
    groups = node.attributes.get_int("group", 1)
    return weight.reshape(groups, -1, *weight.shape[1:])


def replace_constant(graph: ir.Graph, node: ir.Node, index: int, values: Floats) -> None:
    """Give `node` an input of its own in place of the one that it had alone."""
    old = cast(ir.Value, node.inputs[index])
    name = f"{old.name}/equalized"
    node.replace_input_with(index, add_constant(graph, name, values.astype(np.float32)))
    if old.is_initializer():
        del graph.initializers[str(old.name)]


def scaled_stats(stats: TensorStats, channels: ChannelStats, factors: Floats) -> TensorStats:
    """What a tensor holds once its `channels` are divided by `factors`: as far as they go, no observer clips it.

    The old histogram is of other magnitudes, so values as even as can be stand in its place. Of a tensor before a ReLU
    the negative part is a guess; no target quantises it.
    """
    absmax = (channels.absmax / factors).astype(np.float32)
    largest = float(absmax.max())
    least = -largest if stats.minimum < 0 else 0.0
    histogram = Histogram()
    histogram.add(np.linspace(least, largest, EVEN_VALUES))
    known = None if stats.channels is None else ChannelStats((channels.mean / factors).astype(np.float32), absmax)
    return TensorStats(stats.name, least, largest, histogram, least, largest, known)
