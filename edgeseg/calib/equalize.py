"""Cross-layer equalisation: similar magnitudes in all channels between two convolutions, which share one scale.

Between two convolutions with at most a ReLU in between, dividing channel i of the first weight by s_i and multiplying
it in the second one changes nothing, because s f(x) = f(s x) for a ReLU and s > 0. Nagel et al. 2019 (arXiv 1906.04721,
section 4.1) equalise weights this way. Here weights have a scale per output channel, so the first weight is rounded as
before for any s_i. The activation, which has one scale for all channels, gains, and the second weight may lose. So s_i
= sqrt(activation_i / weight_i) of the largest magnitudes in the channel, as in SmoothQuant (arXiv 2211.10438, equation
4 with alpha 1/2).
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

SMALLEST_SHARE = 1 / 64  # of the largest channel: smaller magnitudes are noise and would cause huge weights
EVEN_VALUES = 4096

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ConvPair:
    """Two convolutions and the tensors between them: the first one's output and that of its activation, if any."""

    first: ir.Node
    second: ir.Node
    between: tuple[ir.Value, ...]


def equalize_channels(model: ir.Model, table: RangeTable) -> tuple[ir.Model, RangeTable]:
    """A copy of the float `model` with equalised channels and the same function, and its range table.

    MismatchError where `table` is of another network or has no statistics by channel.
    """
    table.check(model)
    check_channels(table)
    ids = tensor_ids(model)
    copy = ir.from_proto(ir.to_proto(model))
    rows = dict(table.tensors)
    for pair in conv_pairs(copy):
        keys = [ids[str(value.name)] for value in pair.between]
        channels = table.tensors[keys[-1]].channels
        if channels is not None and np.any(channels.absmax):
            factors = channel_factors(channels.absmax, pair.second)
            scale_pair(copy.graph, pair, factors)
            rows.update({key: scaled_stats(table.tensors[key], channels, factors) for key in keys})
    return copy, dataclasses.replace(table, tensors=rows).transferred(model, copy)


def conv_pairs(model: ir.Model) -> Iterator[ConvPair]:
    """The pairs of convolutions, in the graph's order, between which no other node reads a tensor."""
    for node in placement_from_model(model).weighted:
        between = [cast(ir.Value, node.inputs[0])]
        producer = between[0].producer()
        if producer is not None and producer.op_type == "Relu":  # a ReLU6 clips at a fixed value
            between.insert(0, cast(ir.Value, producer.inputs[0]))
            producer = between[0].producer()
        if (
            producer is not None
            and owns_constants(producer)
            and owns_constants(node)
            and all(map(is_read_once, between))
        ):
            yield ConvPair(producer, node, tuple(between))


def is_read_once(value: ir.Value) -> bool:
    """Whether exactly one node reads `value`."""
    return len(value.uses()) == 1 and not value.is_graph_output()


def owns_constants(node: ir.Node) -> bool:
    """Whether `node` is a convolution whose weight and bias are constants that no other node reads."""
    if node.op_type != "Conv":
        return False
    return all(value is None or (constant(value) is not None and len(value.uses()) == 1) for value in node.inputs[1:])


def channel_factors(absmax: NDArray[np.float32], node: ir.Node) -> Floats:
    """The factor s of each channel of the input of `node`, whose magnitudes are `absmax`; the largest magnitude stays.

    A depthwise weight has a scale for each of these channels and loses nothing: there the channels become equal.
    """
    activation, weight = relative_magnitudes(absmax), relative_magnitudes(input_magnitudes(node))
    depthwise = weight_of(node).shape[1] == 1
    factors = activation if depthwise else np.sqrt(activation / weight)
    normalised: Floats = factors * (np.max(absmax / factors) / np.max(absmax))
    return normalised


def relative_magnitudes(magnitudes: NDArray[np.float32] | Floats) -> Floats:
    """Magnitudes relative to the largest, none below SMALLEST_SHARE."""
    largest = float(np.max(magnitudes))
    return np.maximum(magnitudes.astype(np.float64) / largest, SMALLEST_SHARE) if largest else np.ones(len(magnitudes))


def input_magnitudes(node: ir.Node) -> Floats:
    """The largest weight of each input channel, relative to the largest of its output channel, which sets its scale."""
    weight = np.abs(weight_of(node).astype(np.float64))
    weight = weight.max(axis=tuple(range(2, weight.ndim)))
    relative = weight / np.maximum(weight.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    magnitudes: Floats = by_group(relative, node).max(axis=1).reshape(-1)
    return magnitudes


def scale_pair(graph: ir.Graph, pair: ConvPair, factors: Floats) -> None:
    """Divide the output channels of the first convolution by `factors`, multiply the input channels of the second."""
    for index, values in enumerate(pair.first.inputs[1:], start=1):
        if values is not None:
            array = cast("NDArray[np.float32]", constant(values))
            divisors = factors.reshape(-1, *[1] * (array.ndim - 1))
            replace_constant(graph, pair.first, index, array / divisors)
    weight = weight_of(pair.second)
    groups = by_group(weight, pair.second)
    factors = factors.reshape(groups.shape[0], 1, groups.shape[2], *[1] * (groups.ndim - 3))
    replace_constant(graph, pair.second, 1, (groups * factors).reshape(weight.shape))


def weight_of(node: ir.Node) -> NDArray[np.float32]:
    """The weight of a convolution, (O, I / groups, ...)."""
    return cast("NDArray[np.float32]", constant(node.inputs[1]))


def by_group(weight: NDArray[np.float32] | Floats, node: ir.Node) -> NDArray[np.float32] | Floats:
    """A weight (O, I / G, ...) as (G, O / G, I / G, ...)."""
    groups = node.attributes.get_int("group", 1)
    return weight.reshape(groups, -1, *weight.shape[1:])


def replace_constant(graph: ir.Graph, node: ir.Node, index: int, values: Floats) -> None:
    """Replace a constant input that only `node` reads."""
    old = cast(ir.Value, node.inputs[index])
    name = f"{old.name}/equalized"
    node.replace_input_with(index, add_constant(graph, name, values.astype(np.float32)))
    if old.is_initializer():
        del graph.initializers[str(old.name)]


def scaled_stats(stats: TensorStats, channels: ChannelStats, factors: Floats) -> TensorStats:
    """The statistics of a tensor whose `channels` are divided by `factors`, such that no observer clips it.

    The old histogram has other magnitudes, so evenly spread values replace it. For a tensor before a ReLU the negative
    part is a guess; no target quantises it.
    """
    absmax = (channels.absmax / factors).astype(np.float32)
    largest = float(absmax.max())
    least = -largest if stats.minimum < 0 else 0.0
    histogram = Histogram()
    histogram.add(np.linspace(least, largest, EVEN_VALUES))
    scaled = None if stats.channels is None else ChannelStats((channels.mean / factors).astype(np.float32), absmax)
    return TensorStats(stats.name, least, largest, histogram, least, largest, scaled)
