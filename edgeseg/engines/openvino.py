"""OpenVINO. The engine file is the ONNX itself, with Q/DQ pairs for OpenVINO if it is int8, for every device."""

from __future__ import annotations

import logging
import shutil
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.artifact import Artifact, Layer
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.engine import BuildJob, BuildResult, Engine
from edgeseg.engines.layers import LayerRequest, layer_from_names, requests_from_onnx
from edgeseg.engines.options import RunOptions
from edgeseg.errors import UnavailableError
from edgeseg.measure.device import adds_int8_exactly, has_native_bf16, schedulable_cores
from edgeseg.spec import Precision, TensorSpec

logger = logging.getLogger(__name__)

TELEMETRY = "openvino_telemetry"
COMPUTING = {"Convolution", "Deconvolution", "FullyConnected", "MatMul"}
KINDS = ("CPU", "GPU", "NPU")  # "auto" is the first: the same on every machine
CHOOSER = "openvino-auto"  # OpenVINO's plugin AUTO
HINTS = {Precision.FP32: "f32", Precision.FP16: "f16", Precision.BF16: "bf16"}
PRECISIONS = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}


def import_openvino() -> Any:
    """The runtime, without its telemetry.

    `import openvino` sends an event to Google Analytics through the package openvino_telemetry, unless that cannot be
    imported or the user has opted out in a file. The entry None makes its import fail, and OpenVINO then uses a stub
    that sends nothing. This changes no file of the user and no environment variable.
    """
    if "openvino" not in sys.modules and TELEMETRY not in sys.modules:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
        try:
            import openvino
        finally:
            del sys.modules[TELEMETRY]
    import openvino

    return openvino


@lru_cache(maxsize=1)
def openvino_core() -> Any:
    """The one `Core` of this process, which is never closed.

    On processors with AMX, OpenVINO's CPU plugin sets a signal stack for the thread that loads it, and restores the
    previous one when it is unloaded. If two plugins are not unloaded in reverse order, the signal stack is no longer
    mapped, and the next signal of that thread, such as Ctrl-C, ends the process with SIGSEGV.
    """
    return import_openvino().Core()


def devices_here() -> tuple[str, ...]:
    """The devices that OpenVINO finds, and its plugin AUTO if there are several."""
    available = openvino_core().available_devices
    names = [name for kind in KINDS for name in available if name.partition(".")[0] == kind]
    return (*(name.lower().replace(".", ":") for name in names), *([CHOOSER] if len(names) > 1 else []))


def openvino_name(device: str) -> str:
    """OpenVINO's name of a device: "GPU.1" for "gpu:1"."""
    return "AUTO" if device == CHOOSER else device.upper().replace(":", ".")


class OpenVinoBackend(Backend):
    """One compiled model with one request on one stream, for the lowest latency."""

    def __init__(self, artifact: Artifact, run: RunOptions) -> None:
        warn_of_saturation(artifact, run.device)
        compiled = compiled_from_onnx(artifact.path, artifact.precision, run)
        super().__init__(f"{artifact.path.name} (openvino)", specs_of(compiled.inputs), specs_of(compiled.outputs))
        self._request = compiled.create_infer_request()
        self._tensors = [self._request.get_output_tensor(index) for index in range(len(self.outputs))]
        self._results = {spec.name: tensor.data for spec, tensor in zip(self.outputs, self._tensors)}

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        # Nothing is copied: the request reads the caller's array, and the results are views of its tensors.
        self._request.infer(feed, share_inputs=True, share_outputs=True)
        return self._results

    def _close(self) -> None:
        self._results, self._tensors, self._request = {}, [], None


def warn_of_saturation(artifact: Artifact, device: str) -> None:
    """Log a warning where the sums of products of an int8 engine may saturate: OpenVINO has no exact kernels then."""
    narrow = artifact.precision is not Precision.INT8 or artifact.provenance.weight_bits == 7
    if device == "cpu" and not narrow and not adds_int8_exactly():
        logger.warning(
            "%s has int8 weights of 8 bits, and this processor adds their products in 16 bits (it has no VNNI): labels "
            "may differ from those on other machines. Convert it on this machine, or quantize with --weight-bits 7",
            artifact.path.name,
        )


def compiled_from_onnx(path: Path, precision: Precision, run: RunOptions) -> Any:
    """The model at `path`, compiled for `run.device`."""
    core = openvino_core()
    return core.compile_model(core.read_model(path), openvino_name(run.device), settings_for(precision, run))


def settings_for(precision: Precision, run: RunOptions) -> dict[str, Any]:
    """OpenVINO's properties for a model on a device."""
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    floating = floating_precision(precision, run.device)
    if run.device.startswith("npu"):
        if precision is Precision.FP32:
            logger.warning("the NPU has no fp32: it computes in fp16")
    else:
        # By default OpenVINO silently computes an fp32 model in bf16 or fp16 if the device can.
        settings["INFERENCE_PRECISION_HINT"] = HINTS[floating]
    if run.device == "cpu" and run.threads is not None:
        settings["INFERENCE_NUM_THREADS"] = run.threads
        if run.threads < schedulable_cores():
            settings["ENABLE_CPU_PINNING"] = False  # else the engines of all processes share the first cores
    if run.device == CHOOSER:
        settings["ENABLE_STARTUP_FALLBACK"] = False  # otherwise it starts on the CPU and switches later
    return settings


def floating_precision(precision: Precision, device: str) -> Precision:
    """The precision of the layers that are not int8. UnavailableError if that is bf16 and the device lacks it."""
    fast = fast_precision(device)
    if precision is Precision.BF16 and fast is not Precision.BF16:
        message = f"this {device.upper()} does not compute in bf16"
        raise UnavailableError(message, hint="use --precision fp32 or int8", code="ES-MISSING-PRECISION")
    return fast if precision in (Precision.BF16, Precision.INT8) else Precision.FP32


def fast_precision(device: str) -> Precision:
    """The lowest floating precision that `device` computes natively."""
    if device == CHOOSER:
        return Precision.FP32  # which all devices have
    capabilities = openvino_core().get_property(openvino_name(device), "OPTIMIZATION_CAPABILITIES")
    if device == "cpu":
        return Precision.BF16 if has_native_bf16() and "BF16" in capabilities else Precision.FP32
    return Precision.FP16 if "FP16" in capabilities else Precision.FP32


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
    """The name in the ONNX: a tensor behind an Identity has several, and the node has the right one."""
    return str(port.node.get_friendly_name()).split("/sink_port")[0]


def engine_file_from_onnx(job: BuildJob) -> BuildResult:
    """Copy the ONNX, and read back the layers that OpenVINO compiles."""
    path, precision = job.path, job.precision
    device = "cpu" if job.device.startswith("npu") else job.device  # an NPU does not list its layers
    shutil.copyfile(job.onnx.path, path)
    model = job.onnx.proto
    requests = requests_from_onnx(model, floating_precision(precision, device))
    onnx_names = {name for node in model.graph.node for name in (node.name, *node.output)}
    operations = compiled_from_onnx(path, precision, RunOptions(device)).get_runtime_model().get_ordered_ops()
    return BuildResult(
        tuple(layer for node in operations for layer in layers_from_operation(node, onnx_names, requests))
    )


def layers_from_operation(node: Any, onnx_names: set[str], requests: Mapping[str, LayerRequest]) -> list[Layer]:
    """One operation of the compiled model as a layer; none for constants, inputs and outputs.

    An operation that OpenVINO inserted is named by its type: its name contains a counter that differs in each build.
    """
    info = {key: value.astype(str) for key, value in node.get_rt_info().items()}
    op = info["layerType"]
    if op in ("Const", "Input", "Output"):
        return []
    names = [name for name in (node.get_friendly_name(), *info["originalLayersNames"].split(",")) if name in onnx_names]
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
    devices=devices_here,
    targets=("openvino",),
)
