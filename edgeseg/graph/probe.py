"""Add outputs to a float graph that summarise its activations: minimum, maximum, mean and a sample per tensor.

The extremes cover the whole tensor; the sample is every `step`-th value of the flattened tensor. The reduction happens
inside the graph, so memory stays that of inference. Tensors that a constant weight multiplies are reduced by channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeseg.errors import FormatError
from edgeseg.graph.core import Core, add_constant, constant, core_from_model, insert_behind, new_node
from edgeseg.graph.qdq import CONVOLUTIONS, WEIGHTED

SAMPLE = 4096
REDUCTIONS = ("ReduceMin", "ReduceMax", "ReduceMean")
AXES_ARE_AN_INPUT = 18  # from this opset on, REDUCTIONS take their axes as an input


@dataclass(frozen=True)
class Probe:
    """The name of a probed tensor, and the names of the outputs that summarise it.

    minimum, maximum, mean: scalars, or (C,) if by_channel. sample: at most SAMPLE values. by_channel: true for the
    input of a convolution or matrix product with a constant weight. A NaN is visible in the mean only: the minimum and
    maximum of ONNX Runtime ignore it.
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
    """Replace the outputs of `model` by probes of all float activations of its core, in place."""
    graph = model.graph
    core = core_from_model(model)
    axes = channel_axes(core)
    prober = Prober(graph, int(model.opset_imports.get("", AXES_ARE_AN_INPUT)))
    graph.outputs.clear()
    tensors = enumerate(core.activations())
    return [prober.probe(value, axes.get(value), f"probe/{number}") for number, value in tensors]


def channel_axes(core: Core) -> dict[ir.Value, int]:
    """Tensor -> its channel axis, if a constant weight sums over it: 1 for a convolution, the last for a product."""
    axes: dict[ir.Value, int] = {}
    for node in core.nodes:
        value = node.inputs[0] if node.inputs else None
        if node.op_type in WEIGHTED and value is not None and value.shape and constant(node.inputs[1]) is not None:
            axes[value] = 1 if node.op_type in CONVOLUTIONS else axes.get(value, len(value.shape) - 1)
    return axes


class Prober:
    """Adds probes to `graph`. opset: that of the graph."""

    def __init__(self, graph: ir.Graph, opset: int) -> None:
        self.graph, self.opset = graph, opset
        self.flat = add_constant(graph, "probe/flat", np.array([-1], np.int64))

    def probe(self, value: ir.Value, axis: int | None, name: str) -> Probe:
        """Add the probe of one tensor. axis: the channel axis to reduce by, or None."""
        probe = Probe(
            tensor=str(value.name),
            minimum=f"{name}/minimum",
            maximum=f"{name}/maximum",
            mean=f"{name}/mean",
            sample=f"{name}/sample",
            by_channel=axis is not None,
        )
        nodes = self.sampling(value, name)  # first, because it refuses dynamic shapes
        nodes += [self.reduction(op, value, axis, part) for op, part in zip(REDUCTIONS, probe.outputs)]
        insert_behind(self.graph, value, nodes)
        return probe

    def reduction(self, op: str, value: ir.Value, axis: int | None, name: str) -> ir.Node:
        """A node `op` over all axes but `axis`; its output becomes an output of the graph."""
        sides = [int(side) for side in value.shape or ()]
        axes = [] if axis is None else [other for other in range(len(sides)) if other != axis]
        inputs: list[ir.Value] = [value]
        attributes: dict[str, int | list[int]] = {"keepdims": 0}
        if axes and self.opset >= AXES_ARE_AN_INPUT:
            inputs.append(add_constant(self.graph, f"{name}/axes", np.array(axes, np.int64)))
        elif axes:
            attributes["axes"] = axes
        return self.output_node(op, inputs, attributes, name, [] if axis is None else [sides[axis]])

    def sampling(self, value: ir.Value, name: str) -> list[ir.Node]:
        """The nodes that take the sample; it becomes an output of the graph."""
        size = element_count(value)
        step = sample_step(size, int(value.shape[-1]) if value.shape else 1)
        bounds = [
            add_constant(self.graph, f"{name}/{part}", np.array([number], np.int64))
            for part, number in (("start", 0), ("end", size), ("axis", 0), ("step", step))
        ]
        line = new_node("Reshape", [value, self.flat], name=f"{name}/line", dtype=None, shape=None)
        sample = [*line.outputs, *bounds]
        return [line, self.output_node("Slice", sample, {}, f"{name}/sample", [len(range(0, size, step))])]

    def output_node(
        self,
        op: str,
        inputs: list[ir.Value],
        attributes: dict[str, int | list[int]],
        name: str,
        shape: list[int],
    ) -> ir.Node:
        """A new float node whose output, of the same name, becomes an output of the graph."""
        node = new_node(op, inputs, attributes, name=name, dtype=ir.DataType.FLOAT, shape=shape)
        self.graph.outputs.append(node.outputs[0])
        return node


def sample_step(size: int, width: int) -> int:
    """The smallest step that samples at most SAMPLE of `size` values and is coprime to `width`.

    Otherwise the sample would hit the same few columns of every row.
    """
    step = max(1, -(-size // SAMPLE))
    while math.gcd(step, width) > 1:
        step += 1
    return step


def element_count(value: ir.Value) -> int:
    """The number of values of the tensor. FormatError if its shape is not static."""
    shape = value.shape
    if shape is None or not all(isinstance(side, int) for side in shape):
        raise FormatError(
            f"tensor {value.name} has no static shape", hint="export at one input size, with edgeseg export"
        )
    return math.prod(int(side) for side in shape)
