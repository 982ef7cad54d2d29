"""OpenVINO on the CPU. The engine is the ONNX itself, with Q/DQ as OpenVINO fuses it where it is int8."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.artifact import Artifact, Layer
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.engine import Engine, Job, Written
from edgeseg.engines.layers import Request, layer_from_names, requests_from_onnx
from edgeseg.errors import UnavailableError
from edgeseg.measure.device import has_native_bf16
from edgeseg.spec import Precision, TensorSpec

TELEMETRY = "openvino_telemetry"
COMPUTING = {"Convolution", "Deconvolution", "FullyConnected", "MatMul"}
PRECISIONS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}


def import_openvino() -> Any:
    """The runtime, without its telemetry.

    `import openvino` sends an event to Google Analytics through the package openvino_telemetry, unless that cannot be
    imported or the user's home says no. The entry None makes the import fail, for which OpenVINO has a stub that sends
    nothing. No file of the user and no environment variable is touched.
    """
    if "openvino" not in sys.modules and TELEMETRY not in sys.modules:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
        try:
            import openvino
        finally:
            del sys.modules[TELEMETRY]
    import openvino

    return openvino


class OpenVinoBackend(Backend):
    """One compiled model with one request, on one stream: latency, not throughput, is what a camera waits for."""

    def __init__(self, artifact: Artifact, threads: int | None) -> None:
        compiled = compiled_from_onnx(artifact.path, artifact.precision, threads)
        super().__init__(f"{artifact.path.name} (openvino)", specs_of(compiled.inputs), specs_of(compiled.outputs))
        self._request = compiled.create_infer_request()
        self._tensors = [self._request.get_output_tensor(index) for index in range(len(self.outputs))]
        self._results = {spec.name: tensor.data for spec, tensor in zip(self.outputs, self._tensors)}

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        # Neither side is copied: the request reads the caller's array, and the results are views of its own tensors.
        self._request.infer(feed, share_inputs=True, share_outputs=True)
        return self._results

    def _close(self) -> None:
        self._results, self._tensors, self._request = {}, [], None


def compiled_from_onnx(path: Path, precision: Precision, threads: int | None = None) -> Any:
    """The model at `path`, compiled for this machine's CPU."""
    core = import_openvino().Core()
    settings: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        # Left unset, OpenVINO computes an fp32 model in bf16 or fp16 where the CPU can, and tells nobody.
        "INFERENCE_PRECISION_HINT": "bf16" if floating_precision(precision) is Precision.BF16 else "f32",
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    return core.compile_model(core.read_model(path), "CPU", settings)


def floating_precision(precision: Precision) -> Precision:
    """In what the layers that are not int8 compute. UnavailableError where that is bf16 and the CPU lacks it."""
    native = has_native_bf16() and "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if precision is Precision.BF16 and not native:
        raise UnavailableError("this CPU does not compute in bf16", hint="use --precision fp32 or int8")
    if precision is Precision.INT8 and native:
        return Precision.BF16
    return Precision.BF16 if precision is Precision.BF16 else Precision.FP32


def specs_of(ports: Any) -> tuple[TensorSpec, ...]:
    """Names, types and shapes of a compiled model's inputs or outputs."""
    return tuple(
        TensorSpec(
            name=onnx_name(port),
            dtype=np.dtype(port.element_type.to_dtype()).name,
            shape=tuple(side.get_length() if side.is_static else -1 for side in port.partial_shape),
        )
        for port in ports
    )


def onnx_name(port: Any) -> str:
    """The name in the ONNX: a tensor that passed an Identity has several, and the node keeps the right one."""
    return str(port.node.get_friendly_name()).split("/sink_port")[0]


def engine_file_from_onnx(job: Job) -> Written:
    """Copy the ONNX, and read back what OpenVINO compiles it to."""
    path, precision = job.path, job.precision
    shutil.copyfile(job.onnx.path, path)
    model = job.onnx.proto
    requests = requests_from_onnx(model, floating_precision(precision))
    known = {name for node in model.graph.node for name in (node.name, *node.output)}
    operations = compiled_from_onnx(path, precision).get_runtime_model().get_ordered_ops()
    return Written(tuple(layer for node in operations for layer in layers_from_operation(node, known, requests)))


def layers_from_operation(node: Any, known: set[str], requests: Mapping[str, Request]) -> list[Layer]:
    """One operation of the compiled model as a layer; none where it is no work.

    What OpenVINO inserts goes by its type: its own names for that carry a counter that differs at each build.
    """
    info = {key: value.astype(str) for key, value in node.get_rt_info().items()}
    op = info["layerType"]
    if op in ("Const", "Input", "Output"):
        return []
    names = [name for name in (node.get_friendly_name(), *info["originalLayersNames"].split(",")) if name in known]
    obtained = PRECISIONS.get(info["runtimePrecision"], "") if op in COMPUTING else ""
    return [layer_from_names(names or [op], op, obtained, requests)]


ENGINE = Engine(
    name="openvino",
    extension="onnx",
    precisions=(Precision.FP32, Precision.BF16, Precision.INT8),
    install="pip install openvino",
    packages=("openvino",),
    runtime=import_openvino,
    write=engine_file_from_onnx,
    load=OpenVinoBackend,
    targets=("openvino",),
)
