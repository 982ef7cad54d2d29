"""Which precision each convolution and matrix product of a plan obtained, under the name of its ONNX node."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence

from edgeseg.artifact import Layer
from edgeseg.engines.layers import Request
from edgeseg.engines.tensorrt.layer import PlanLayer, PlanTensor

WAITING = {"signal", "wait"}
OPS = re.compile(r"conv|correlation|gemm|matrixmul|matmul|fullyconnected|cublas|myelin|dla|foreign", re.IGNORECASE)
# What a kernel that TensorRT wrote itself says of its work: "__myl_CorrAddRelu", "_gemm_mha_v2", "sm80_xmma_fprop".
KERNELS = re.compile(r"(?:Corr|Conv|Deco|Fc|Gemm|Dot|Matm|Mha)(?=[A-Z_]|$)|gemm|fprop|dgrad")
WIDTH = {"int8": 1, "fp8": 1, "fp16": 2, "bf16": 2, "fp32": 4}


def layers_from_plan(plan: Sequence[PlanLayer], requests: Mapping[str, Request]) -> tuple[Layer, ...]:
    """The layers of a plan as an artifact has them, without those that only wait.

    requests: of `requests_from_onnx`. Each computing node that it names comes once: a layer that computes two of them
    gives two, and one that no layer computes comes last, with neither an op nor an obtained precision. The pointwise
    layer after a convolution names the convolution too, and is not taken for it.
    """
    asked = dict(requests.values())
    left = dict(asked)
    layers: list[Layer] = []
    for layer in working(plan):
        nodes = [node for node in layer.nodes if node in left] if computes(layer) else []
        layers += [Layer(node, layer.op, left.pop(node), multiplied(layer)) for node in nodes]
        if not nodes:
            layers.append(Layer(layer.name, layer.op, "", ""))
    return (*layers, *(Layer(node, "", requested, "") for node, requested in left.items()))


def working(plan: Sequence[PlanLayer]) -> Iterator[PlanLayer]:
    """The layers that do something, in their order."""
    return (layer for layer in plan if layer.op not in WAITING)


def computes(layer: PlanLayer) -> bool:
    """Whether the layer multiplies: a convolution, a matrix product, or a kernel with one fused into it."""
    kernel = layer.name if layer.name.startswith("_") else layer.tactic
    return bool(OPS.search(layer.op) or KERNELS.search(kernel))


def multiplied(layer: PlanLayer) -> str:
    """The type in which a computing layer multiplies; "" where its tensors are not told.

    int8 needs int8 activations and weights: int8 weights alone are unpacked first. Otherwise the weights' type
    tells, as a cast of the activation may be fused in. Two activations multiply in the wider type.
    """
    inputs = [tensor.dtype for tensor in layer.inputs if tensor.dtype in WIDTH]
    weights = max(layer.constants, key=size, default=None)
    if weights is None or size(weights) <= 1 or weights.dtype not in WIDTH:
        return max(inputs[:2], key=WIDTH.__getitem__, default="")
    if WIDTH[weights.dtype] > 1 or weights.dtype in inputs:
        return weights.dtype
    return max(inputs, key=WIDTH.__getitem__, default=weights.dtype)


def size(tensor: PlanTensor) -> int:
    """How many values a tensor holds."""
    return math.prod(tensor.shape)
