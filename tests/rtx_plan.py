"""What TensorRT-RTX makes of an ONNX, on a machine with no GPU: whether it parses and builds, and in which types."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import onnx_ir as ir

Profile = Mapping[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]


def rtx_plan(model: ir.Model, profile: Profile | None = None) -> str:
    """Build `model` and return the log, which ends with a dump of the layers. profile: input -> least, usual, largest.

    The caller skips where tensorrt_rtx is not installed.
    """
    import tensorrt_rtx as trt

    lines: list[str] = []

    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, message: str) -> None:
            lines.append(message)

    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse(ir.to_proto(model).SerializeToString())
    assert parsed, [str(parser.get_error(index)) for index in range(parser.num_errors)]
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = 1
    assert config.set_compute_capability(trt.ComputeCapability.SM86, 0)
    if profile:
        shapes = builder.create_optimization_profile()
        for name, sizes in profile.items():
            assert shapes.set_shape(name, *sizes) is None
        assert config.add_optimization_profile(shapes) == 0
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, lines[-5:]
    return "\n".join(lines)


def convolution_types(log: str) -> set[str]:
    """What the convolutions of the layer dump read: "Half", "Float", "Int8"."""
    layers = log[log.rindex("Layers:") :].splitlines()
    rows = [line for line in layers if re.search(r"LayerType: correlation|_Corr\w*, LayerType: runtime_fusion", line)]
    return {kind for row in rows for kind in re.findall(r"Datatype: (\w+)", row.partition("Constants:")[0])}
