"""Which precision an ONNX requests for each of its convolutions and matrix products, to hold a build against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgeseg.artifact import Layer
from edgeseg.spec import Precision

COMPUTING = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

# A runtime fuses these into the layer before them and may name the result after them.
FOLLOWING = {"Add", "Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "QuantizeLinear", "Relu", "Sigmoid", "Tanh"}

Request = tuple[str, str]  # the name of the ONNX node that computes, the precision it asks for


def requests_from_onnx(model: Any, floating: Precision) -> dict[str, Request]:
    """Node and tensor names -> the computing node they stand for, and its requested precision.

    A node whose two factors both come from a DequantizeLinear requests int8, any other `floating`. The names of
    activations that a runtime may fuse stand for the node before them.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    requests: dict[str, Request] = {}
    for node in model.graph.node:
        if node.op_type in COMPUTING:
            request = (node.name or node.output[0], str(requested_precision(node, producers, floating)))
        elif node.op_type in FOLLOWING and node.input[0] in requests:
            request = requests[node.input[0]]
        else:
            continue
        requests.update({name: request for name in (node.name, *node.output) if name})
    return requests


def requested_precision(node: Any, producers: Mapping[str, Any], floating: Precision) -> Precision:
    """What one Conv, Gemm or MatMul asks for."""
    factors = [producers.get(name) for name in node.input[:2]]
    quantised = all(factor is not None and factor.op_type == "DequantizeLinear" for factor in factors)
    return Precision.INT8 if quantised else floating


def layer_from_names(names: Iterable[str], op: str, obtained: str, requests: Mapping[str, Request]) -> Layer:
    """A runtime's layer, under the name of the ONNX node it computes.

    names: what the runtime says the layer was made of, its own name first.
    obtained: "" for a layer that multiplies nothing.
    """
    names = list(names)
    if not obtained:
        return Layer(name=names[0], op=op, requested="", obtained="")
    name, requested = next((requests[name] for name in names if name in requests), (names[0], ""))
    return Layer(name=name, op=op, requested=requested, obtained=obtained)
