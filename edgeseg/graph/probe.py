"""A float graph that reports on its own activations: a few small outputs a tensor in place of the tensor.

Extremes are exact and come from the whole tensor; the sample is every `step`-th value of the flattened tensor. What is
reduced inside the graph need not leave it, so memory stays that of plain inference. What a weight sums over, channel by
channel, is reduced by channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeseg.errors import FormatError
from edgeseg.graph.core import Core, constant, core_from_model
from edgeseg.graph.qdq import WEIGHTED, add_constant

SAMPLE = 4096
REDUCTIONS = ("ReduceMin", "ReduceMax", "ReduceMean")
AXES_ARE_AN_INPUT = 18  # the opset from which REDUCTIONS take their axes so


@dataclass(frozen=True)
class Probe:
    """One probed tensor: its name, and the names of the outputs that tell what it holds.

    minimum, maximum, mean: scalars, or (C,) by channel. sample: at most SAMPLE values. by_channel: so for a tensor that
    enters a convolution or matrix product with a constant weight. A NaN shows in the mean alone: ONNX Runtime's
    extremes pass over it.
    """

    tensor: str
    minimum: str
    maximum: str
    mean: str
    sample: str
    by_channel: bool

    @property
    def outputs(self) -> tuple[str, str, str, str]:
        """Names of minimum, maximum, mean and sample."""
        return self.minimum, self.maximum, self.mean, self.sample


def probe_activations(model: ir.Model) -> list[Probe]:
    """Replace the outputs of `model` by probes of every float activation of its core, in place."""
    graph = model.graph
    core = core_from_model(model)
    axes = channel_axes(core)
    prober = Prober(graph, int(model.opset_imports.get("", AXES_ARE_AN_INPUT)))
    graph.outputs.clear()
    tensors = enumerate(core.activations())
    return [prober.probe(value, axes.get(value), f"probe/{number}") for number, value in tensors]


def channel_axes(core: Core) -> dict[ir.Value, int]:
    """Tensor -> the axis that a constant weight sums over: 1 before a convolution, the last before a matrix product."""
    axes: dict[ir.Value, int] = {}
    for node in core.nodes:
        value = node.inputs[0] if node.inputs else None
        if node.op_type in WEIGHTED and value is not None and value.shape and constant(node.inputs[1]) is not None:
            axes[value] = 1 if node.op_type == "Conv" else axes.get(value, len(value.shape) - 1)
    return axes


class Prober:
    """Adds probes to `graph`, which is of that `opset`."""

    def __init__(self, graph: ir.Graph, opset: int) -> None:
        self.graph, self.opset = graph, opset
        self.flat = add_constant(graph, "probe/flat", np.array([-1], np.int64))

    def probe(self, value: ir.Value, axis: int | None, name: str) -> Probe:
        """Add the probes of one tensor; `axis` is that of its channels, if they are wanted."""
        probe = Probe(
            tensor=str(value.name),
            minimum=f"{name}/minimum",
            maximum=f"{name}/maximum",
            mean=f"{name}/mean",
            sample=f"{name}/sample",
            by_channel=axis is not None,
        )
        nodes = self.sampling(value, name)  # first, since it refuses shapes that are not static
        nodes += [self.reduction(op, value, axis, part) for op, part in zip(REDUCTIONS, probe.outputs)]
        producer = value.producer()
        if producer is None:
            self.graph.insert_before(self.graph[0], nodes)
        else:
            self.graph.insert_after(producer, nodes)
        return probe

    def reduction(self, op: str, value: ir.Value, axis: int | None, name: str) -> ir.Node:
        """`op` over all axes but `axis`, as an output of the graph."""
        sides = [int(side) for side in value.shape or ()]
        axes = [] if axis is None else [other for other in range(len(sides)) if other != axis]
        inputs: list[ir.Value] = [value]
        attributes: dict[str, int | list[int]] = {"keepdims": 0}
        if axes and self.opset >= AXES_ARE_AN_INPUT:
            inputs.append(add_constant(self.graph, f"{name}/axes", np.array(axes, np.int64)))
        elif axes:
            attributes["axes"] = axes
        node = ir.node(op, inputs, attributes, name=name)
        return self.reported(node, [] if axis is None else [sides[axis]])

    def sampling(self, value: ir.Value, name: str) -> list[ir.Node]:
        """The nodes that take the sample, as an output of the graph."""
        size = element_count(value)
        step = sample_step(size, int(value.shape[-1]) if value.shape else 1)
        bounds = [
            add_constant(self.graph, f"{name}/{part}", np.array([n], np.int64)) for part, n in slicing(size, step)
        ]
        line = ir.node("Reshape", [value, self.flat], name=f"{name}/line")
        line.outputs[0].name = f"{name}/line"
        sample = ir.node("Slice", [line.outputs[0], *bounds], name=f"{name}/sample")
        return [line, self.reported(sample, [len(range(0, size, step))])]

    def reported(self, node: ir.Node, shape: list[int]) -> ir.Node:
        """`node`, whose output becomes one of the graph, by the node's name."""
        output = node.outputs[0]
        output.name, output.dtype, output.shape = node.name, ir.DataType.FLOAT, ir.Shape(shape)
        self.graph.outputs.append(output)
        return node


def slicing(size: int, step: int) -> list[tuple[str, int]]:
    """Start, end, axis and step of the sample, by name."""
    return [("start", 0), ("end", size), ("axis", 0), ("step", step)]


def sample_step(size: int, width: int) -> int:
    """The smallest step that takes at most SAMPLE of `size` values and has no factor in common with `width`.

    So the sample does not fall on the same few columns of every row.
    """
    step = max(1, -(-size // SAMPLE))
    while math.gcd(step, width) > 1:
        step += 1
    return step


def element_count(value: ir.Value) -> int:
    """How many values the tensor has. FormatError where its shape is not static."""
    shape = value.shape
    if shape is None or not all(isinstance(side, int) for side in shape):
        raise FormatError(
            f"tensor {value.name} has no static shape", hint="export at one input size, with edgeseg export"
        )
    return math.prod(int(side) for side in shape)
