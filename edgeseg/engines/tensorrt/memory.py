"""Whether a build fits: better a clear refusal before it starts than an out-of-memory kill ten minutes later."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import psutil

from edgeseg.engines.tensorrt.builder import BuildRequest
from edgeseg.engines.tensorrt.compat import Release
from edgeseg.errors import UnavailableError

MIB = 1 << 20
FLOAT_BYTES = 4
# Of an RTX build (1.7.1) on the host, above the peak resident memory that was measured over the bundled nets
# (benchmarks/rtx_builds.py).
RTX_BASE_MIB, RTX_WEIGHTS = 300, 8
# Of full TensorRT these are estimates on the safe side, from its documentation: the CUDA context and the kernel
# libraries, weights in the formats that are tried, and the tensors that a timed layer reads and writes.
FULL_BASE_MIB, FULL_WEIGHTS, FULL_ACTIVATIONS = 1200, 4, 2
LARGEST_WORKSPACE_MIB = 4096


def fitted(release: Release, order: BuildRequest, device: Mapping[str, Any]) -> BuildRequest:
    """`order` with a workspace that leaves room for the rest. UnavailableError where the build does not fit.

    device: its "free_mib", or nothing where there is no GPU.
    """
    needed = needed_mib(order, is_rtx=release.is_rtx)
    check_free(order.name, needed, psutil.virtual_memory().available >> 20, "memory")
    free = device.get("free_mib")
    if free is None or release.is_rtx:
        return order
    check_free(order.name, needed + (order.options.workspace_mib or 0), int(free), "device memory")
    if order.options.workspace_mib is not None:
        return order
    chosen = min((int(free) - needed) // 2, LARGEST_WORKSPACE_MIB)
    return dataclasses.replace(order, options=dataclasses.replace(order.options, workspace_mib=max(1, chosen)))


def check_free(name: str, needed: int, free: int, what: str) -> None:
    """UnavailableError where `needed` MiB are not free."""
    if needed > free:
        raise UnavailableError(
            f"building {name} takes about {needed} MiB, and {free} MiB of {what} are free",
            hint="close other programs, add swap, or take a smaller --size, --batch or --workspace",
        )


def needed_mib(order: BuildRequest, *, is_rtx: bool) -> int:
    """What a build takes, about, without its workspace."""
    weights = weight_bytes(order.onnx) / MIB
    if is_rtx:
        return round(RTX_BASE_MIB + RTX_WEIGHTS * weights)
    return round(FULL_BASE_MIB + FULL_WEIGHTS * weights + FULL_ACTIVATIONS * largest_layer_bytes(order) / MIB)


def weight_bytes(onnx: Any) -> int:
    """The constants of a graph, each as fp32: that is how the parser unpacks them."""
    return FLOAT_BYTES * int(sum(math.prod(constant.dims) for constant in onnx.graph.initializer))


def largest_layer_bytes(order: BuildRequest) -> int:
    """The most that one node reads and writes, in fp32, at the largest shape of the order."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(order.onnx).graph
    sizes = {value.name: elements(value) for value in [*graph.input, *graph.value_info, *graph.output]}
    nodes = (sum(sizes.get(name, 0) for name in (*node.input, *node.output)) for node in graph.node)
    return FLOAT_BYTES * max(nodes, default=0) * growth(order)


def elements(value: Any) -> int:
    """How many values a tensor has, an unknown side taken for 1."""
    return int(math.prod(max(1, side.dim_value) for side in value.type.tensor_type.shape.dim))


def growth(order: BuildRequest) -> int:
    """How much more the largest shape of a profile holds than the shape in the ONNX, at most."""
    if not order.profile:
        return 1
    return math.ceil(math.prod(order.profile[-1]) / elements(order.onnx.graph.input[0]))
