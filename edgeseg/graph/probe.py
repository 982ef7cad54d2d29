"""A float graph that reports on its own activations: three small outputs a tensor in place of the tensor.

Extremes are exact and come from the whole tensor; the sample is every `step`-th value of the flattened tensor. What is
reduced inside the graph need not leave it, so memory stays that of plain inference.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from edgeseg.errors import FormatError
from edgeseg.graph.core import core_from_model
from edgeseg.graph.qdq import add_constant

SAMPLE = 4096


@dataclass(frozen=True)
class Probe:
    """One probed tensor: its name, and the names of the outputs that tell its extremes and a sample."""

    tensor: str
    minimum: str
    maximum: str
    sample: str

    @property
    def outputs(self) -> tuple[str, str, str]:
        """Names of minimum (scalar), maximum (scalar) and sample (at most SAMPLE values)."""
        return self.minimum, self.maximum, self.sample


def probe_activations(model: ir.Model) -> list[Probe]:
    """Replace the outputs of `model` by probes of every float activation of its core, in place."""
    graph = model.graph
    core = core_from_model(model)
    flat = add_constant(graph, "probe/flat", np.array([-1], np.int64))
    graph.outputs.clear()
    return [probe_tensor(graph, value, flat, f"probe/{number}") for number, value in enumerate(core.activations())]


def probe_tensor(graph: ir.Graph, value: ir.Value, flat: ir.Value, name: str) -> Probe:
    """Add the probes of one tensor."""
    size = element_count(value)
    step = sample_step(size, int(value.shape[-1]) if value.shape else 1)
    bounds = [add_constant(graph, f"{name}/{part}", np.array([n], np.int64)) for part, n in slicing(size, step)]
    minimum = ir.node("ReduceMin", [value], {"keepdims": 0}, name=f"{name}/minimum")
    maximum = ir.node("ReduceMax", [value], {"keepdims": 0}, name=f"{name}/maximum")
    line = ir.node("Reshape", [value, flat], name=f"{name}/line")
    sample = ir.node("Slice", [line.outputs[0], *bounds], name=f"{name}/sample")
    line.outputs[0].name = f"{name}/line"
    for node in (minimum, maximum, sample):
        output = node.outputs[0]
        output.name, output.dtype = node.name, ir.DataType.FLOAT
        output.shape = ir.Shape([len(range(0, size, step))] if node is sample else [])
        graph.outputs.append(output)
    producer = value.producer()
    nodes = [minimum, maximum, line, sample]
    if producer is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(producer, nodes)
    return Probe(str(value.name), f"{name}/minimum", f"{name}/maximum", f"{name}/sample")


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
