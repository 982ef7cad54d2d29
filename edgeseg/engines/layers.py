"""Which precision an ONNX requests for each of its convolutions and matrix products, to hold a build against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgeseg.artifact import Layer
from edgeseg.graph.qdq import SHAPE_ONLY_OPS
from edgeseg.spec import Precision

COMPUTING = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

# A runtime fuses these into the layer before them and may name the result after them.
FOLLOWING = {"Add", "Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "QuantizeLinear", "Relu", "Sigmoid", "Tanh"}

LayerRequest = tuple[str, str]  # the name of the ONNX node that computes, the precision it asks for


def requests_from_onnx(model: Any, floating: Precision | None = None) -> dict[str, LayerRequest]:
    """Node and tensor names -> the computing node they stand for, and its requested precision.

    A node whose two factors both come from a DequantizeLinear, moved at most, requests int8, any other `floating`, or
    the type of its first factor where that is None. The names of activations that a runtime may fuse stand for the node
    before them.
    """
    producers = {output: node for node in model.graph.node for output in node.output}
    types = types_from_onnx(model) if floating is None else {}
    requests: dict[str, LayerRequest] = {}
    for node in model.graph.node:
        if node.op_type in COMPUTING:
            stated = floating or types.get(node.input[0], Precision.FP32)
            request = (node.name or node.output[0], str(requested_precision(node, producers, stated)))
        elif node.op_type in FOLLOWING and node.input[0] in requests:
            request = requests[node.input[0]]
        else:
            continue
        requests.update({name: request for name in (node.name, *node.output) if name})
    return requests


def types_from_onnx(model: Any) -> dict[str, Precision]:
    """Tensor name -> its floating-point type, as the graph states or implies it."""
    import onnx

    known = {onnx.TensorProto.FLOAT: Precision.FP32, onnx.TensorProto.FLOAT16: Precision.FP16,
             onnx.TensorProto.BFLOAT16: Precision.BF16}  # fmt: skip
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {constant.name: constant.data_type for constant in graph.initializer}
    return {name: known[kind] for name, kind in types.items() if kind in known}


def requested_precision(node: Any, producers: Mapping[str, Any], floating: Precision) -> Precision:
    """What one Conv, Gemm or MatMul asks for."""
    factors = [maker(name, producers) for name in node.input[:2]]
    quantised = all(factor is not None and factor.op_type == "DequantizeLinear" for factor in factors)
    return Precision.INT8 if quantised else floating


def maker(name: str, producers: Mapping[str, Any]) -> Any:
    """The node that computes the tensor `name`, not only moves it; None for one that is given."""
    node = producers.get(name)
    while node is not None and node.op_type in SHAPE_ONLY_OPS:
        node = producers.get(node.input[0])
    return node


def layer_from_names(names: Iterable[str], op: str, obtained: str, requests: Mapping[str, LayerRequest]) -> Layer:
    """A runtime's layer, under the name of the ONNX node it computes.

    names: what the runtime says the layer was made of, its own name first.
    obtained: "" for a layer that multiplies nothing.
    """
    names = list(names)
    if not obtained:
        return Layer(name=names[0], op=op, requested="", obtained="")
    name, requested = next((requests[name] for name in names if name in requests), (names[0], ""))
    return Layer(name=name, op=op, requested=requested, obtained=obtained)
