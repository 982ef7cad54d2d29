"""The precision that an ONNX requests for each convolution and matrix product; builds are checked against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgeseg.artifact import Layer
from edgeseg.graph.qdq import SHAPE_ONLY_OPS
from edgeseg.spec import Precision

COMPUTING = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

# Runtimes fuse these into the layer before them, and may name the fused layer after them.
FOLLOWING = {"Add", "Clip", "HardSigmoid", "HardSwish", "LeakyRelu", "QuantizeLinear", "Relu", "Sigmoid", "Tanh"}

LayerRequest = tuple[str, str]  # name of the ONNX node, precision that it requests


def requests_from_onnx(model: Any, floating: Precision | None = None) -> dict[str, LayerRequest]:
    """Names of nodes and tensors -> the convolution or matrix product that they belong to, with its precision.

    A node requests int8 if both factors come from a DequantizeLinear, possibly reshaped; otherwise `floating`, or the
    type of its first factor if that is None. Activations that a runtime may fuse belong to the node before.
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
    """Tensor name -> its floating-point type, explicit or inferred."""
    import onnx

    precisions = {onnx.TensorProto.FLOAT: Precision.FP32, onnx.TensorProto.FLOAT16: Precision.FP16,
                  onnx.TensorProto.BFLOAT16: Precision.BF16}  # fmt: skip
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    types |= {constant.name: constant.data_type for constant in graph.initializer}
    return {name: precisions[kind] for name, kind in types.items() if kind in precisions}


def requested_precision(node: Any, producers: Mapping[str, Any], floating: Precision) -> Precision:
    """The precision that one Conv, Gemm or MatMul requests."""
    factors = [producer_of(name, producers) for name in node.input[:2]]
    quantised = all(factor is not None and factor.op_type == "DequantizeLinear" for factor in factors)
    return Precision.INT8 if quantised else floating


def producer_of(name: str, producers: Mapping[str, Any]) -> Any:
    """The node that computes the tensor `name`, before operators that only change its shape; None for an input."""
    node = producers.get(name)
    while node is not None and node.op_type in SHAPE_ONLY_OPS:
        node = producers.get(node.input[0])
    return node


def layer_from_names(names: Iterable[str], op: str, obtained: str, requests: Mapping[str, LayerRequest]) -> Layer:
    """A runtime's layer, under the name of the ONNX node it computes.

    names: those that the runtime gives for the layer, its own name first.
    obtained: "" for a layer that is no convolution or matrix product.
    """
    names = list(names)
    if not obtained:
        return Layer(name=names[0], op=op, requested="", obtained="")
    name, requested = next((requests[name] for name in names if name in requests), (names[0], ""))
    return Layer(name=name, op=op, requested=requested, obtained=obtained)
