"""Whether a build fits into memory: an error before it starts is better than an out-of-memory kill minutes later."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import psutil

from edgeseg.engines.tensorrt.builder import BuildRequest
from edgeseg.engines.tensorrt.compat import Release
from edgeseg.engines.tensorrt.log_errors import OUT_OF_MEMORY
from edgeseg.errors import UnavailableError

MIB = 1 << 20
FLOAT_BYTES = 4
# Host memory of an RTX build (1.7.1), above the measured peak of all bundled nets (benchmarks/rtx_builds.py).
RTX_BASE_MIB, RTX_WEIGHTS = 300, 8
# Of TensorRT, estimated on the safe side from its documentation: the CUDA context and the kernel libraries, the weights
# in the formats that the builder tries, and the tensors that a timed layer reads and writes.
FULL_BASE_MIB, FULL_WEIGHTS, FULL_ACTIVATIONS = 1200, 4, 2
MAX_WORKSPACE_MIB = 4096


def with_workspace(release: Release, request: BuildRequest, device: Mapping[str, Any]) -> BuildRequest:
    """`request` with a workspace that leaves memory for the rest. UnavailableError if the build does not fit.

    device: its "free_mib", or nothing without a GPU.
    """
    needed = needed_mib(request, is_rtx=release.is_rtx)
    check_free(request.name, needed, psutil.virtual_memory().available >> 20, "memory")
    free = device.get("free_mib")
    if free is None or release.is_rtx:
        return request
    check_free(request.name, needed + (request.options.workspace_mib or 0), int(free), "device memory")
    if request.options.workspace_mib is not None:
        return request
    chosen = min((int(free) - needed) // 2, MAX_WORKSPACE_MIB)
    return dataclasses.replace(request, options=dataclasses.replace(request.options, workspace_mib=max(1, chosen)))


def check_free(name: str, needed: int, free: int, kind: str) -> None:
    """UnavailableError if less than `needed` MiB are free."""
    if needed > free:
        raise UnavailableError(
            f"building {name} needs about {needed} MiB of {kind}; {free} MiB are free",
            hint="close other programs, add swap, or use a smaller --size, --batch or --workspace",
            code=OUT_OF_MEMORY,
        )


def needed_mib(request: BuildRequest, *, is_rtx: bool) -> int:
    """The memory of a build, about, without its workspace."""
    weights = weight_bytes(request.onnx) / MIB
    if is_rtx:
        return round(RTX_BASE_MIB + RTX_WEIGHTS * weights)
    return round(FULL_BASE_MIB + FULL_WEIGHTS * weights + FULL_ACTIVATIONS * largest_layer_bytes(request) / MIB)


def weight_bytes(onnx: Any) -> int:
    """The size of a graph's constants as fp32, to which the parser converts them."""
    return FLOAT_BYTES * int(sum(math.prod(constant.dims) for constant in onnx.graph.initializer))


def largest_layer_bytes(request: BuildRequest) -> int:
    """The most that one node reads and writes, in fp32, at the largest shape of the request."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(request.onnx).graph
    sizes = {value.name: elements(value) for value in [*graph.input, *graph.value_info, *graph.output]}
    nodes = (sum(sizes.get(name, 0) for name in (*node.input, *node.output)) for node in graph.node)
    return FLOAT_BYTES * max(nodes, default=0) * growth(request)


def elements(value: Any) -> int:
    """The number of values of a tensor; an unknown side counts as 1."""
    return int(math.prod(max(1, side.dim_value) for side in value.type.tensor_type.shape.dim))


def growth(request: BuildRequest) -> int:
    """How many times larger the largest shape of the profile is than the shape in the ONNX."""
    if not request.profile:
        return 1
    return math.ceil(math.prod(request.profile[-1]) / elements(request.onnx.graph.input[0]))
