"""The layers of a compiled plan, and the precision that each convolution and matrix product obtained."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from edgeseg.artifact import Layer
from edgeseg.engines.layers import LayerRequest

BYTES = {"fp32": 4, "int32": 4, "fp16": 2, "bf16": 2, "int64": 8, "int8": 1, "uint8": 1, "fp8": 1, "bool": 1}
WAITING = {"signal", "wait"}
OPS = re.compile(r"conv|correlation|gemm|matrixmul|matmul|fullyconnected|cublas|myelin|dla|foreign", re.IGNORECASE)
# Names of kernels that TensorRT generated: "__myl_CorrAddRelu", "_gemm_mha_v2", "sm80_xmma_fprop".
KERNELS = re.compile(r"(?:Corr|Conv|Deco|Fc|Gemm|Dot|Matm|Mha)(?=[A-Z_]|$)|gemm|fprop|dgrad")
WIDTH = {"int8": 1, "fp8": 1, "fp16": 2, "bf16": 2, "fp32": 4}


@dataclass(frozen=True)
class PlanTensor:
    """A tensor of a plan. dtype: fp32, fp16, bf16, int8, uint8, int32, ... format: TensorRT's name of its layout."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    format: str = ""

    @property
    def bytes(self) -> int:
        """Its size without padding; 0 if a side or the type is unknown."""
        return math.prod(self.shape) * BYTES.get(self.dtype, 0) if min(self.shape, default=0) >= 0 else 0


@dataclass(frozen=True)
class PlanLayer:
    """A layer of a plan, as the build log or the engine inspector describes it.

    op: the runtime's name of its kind ("correlation", "kgen", "CaskConvolution").
    nodes: the ONNX nodes that it computes. constants: its weights, where the description lists them separately.
    tactic: the kernel, "" if unknown. stream: the number of the stream that it runs in.
    milliseconds: its time, if it was measured on a GPU.
    """

    name: str
    op: str
    nodes: tuple[str, ...] = ()
    inputs: tuple[PlanTensor, ...] = ()
    outputs: tuple[PlanTensor, ...] = ()
    constants: tuple[PlanTensor, ...] = ()
    tactic: str = ""
    stream: int = 0
    milliseconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a sidecar, without empty values."""
        return {key: value for key, value in asdict(self).items() if value not in ((), "", None)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PlanLayer:
        """Read the data of `to_dict`. TypeError or KeyError for other data."""
        fields: dict[str, Any] = {**data, "nodes": tuple(data.get("nodes", ()))}
        for key in ("inputs", "outputs", "constants"):
            tensors = ({**tensor, "shape": tuple(tensor["shape"])} for tensor in data.get(key, ()))
            fields[key] = tuple(PlanTensor(**tensor) for tensor in tensors)
        return cls(**fields)


def layers_from_plan(plan: Sequence[PlanLayer], requests: Mapping[str, LayerRequest]) -> tuple[Layer, ...]:
    """The layers of a plan as an artifact lists them, without signal and wait.

    requests: of `requests_from_onnx`. Each computing node in it is listed once: a layer that computes two nodes gives
    two entries, and a node that no layer computes comes last, with neither an op nor an obtained precision. The
    pointwise layer after a convolution names that node too, and is not taken for it.
    """
    missing = dict(requests.values())
    layers: list[Layer] = []
    for layer in working_layers(plan):
        nodes = [node for node in layer.nodes if node in missing] if is_product(layer) else []
        layers += [Layer(node, layer.op, missing.pop(node), product_precision(layer)) for node in nodes]
        if not nodes:
            layers.append(Layer(layer.name, layer.op, "", ""))
    return (*layers, *(Layer(node, "", requested, "") for node, requested in missing.items()))


def working_layers(plan: Sequence[PlanLayer]) -> Iterator[PlanLayer]:
    """The layers that compute or copy something, in order."""
    return (layer for layer in plan if layer.op not in WAITING)


def is_product(layer: PlanLayer) -> bool:
    """Whether the layer is a convolution, a matrix product, or a kernel that contains one."""
    kernel = layer.name if layer.name.startswith("_") else layer.tactic
    return bool(OPS.search(layer.op) or KERNELS.search(kernel))


def product_precision(layer: PlanLayer) -> str:
    """The type in which a convolution or matrix product multiplies; "" if its tensors are not described.

    int8 needs int8 activations and int8 weights: int8 weights alone are unpacked first. Otherwise the type of the
    weights decides, since a cast of the activation may be fused into the layer. Two activations multiply in the wider
    type.
    """
    inputs = [tensor.dtype for tensor in layer.inputs if tensor.dtype in WIDTH]
    weights = max(layer.constants, key=lambda tensor: math.prod(tensor.shape), default=None)
    if weights is None or math.prod(weights.shape) <= 1 or weights.dtype not in WIDTH:
        return max(inputs[:2], key=WIDTH.__getitem__, default="")
    if WIDTH[weights.dtype] > 1 or weights.dtype in inputs:
        return weights.dtype
    return max(inputs, key=WIDTH.__getitem__, default=weights.dtype)
