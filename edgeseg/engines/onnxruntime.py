"""ONNX Runtime. The engine file is the ONNX itself, with Q/DQ pairs for ONNX Runtime if it is int8.

The layers in the sidecar are those of the CPU: other execution providers do not list theirs.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.artifact import Artifact, Layer
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.engine import BuildJob, BuildResult, Engine
from edgeseg.engines.layers import LayerRequest, layer_from_names, requests_from_onnx
from edgeseg.engines.options import RunOptions
from edgeseg.engines.tensorrt.cuda.libcuda import gpu_count
from edgeseg.sessions import import_onnxruntime, open_session
from edgeseg.spec import Precision, TensorSpec

PROVIDERS = {  # kind of device -> execution provider; "auto" is the first
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "directml": "DmlExecutionProvider",
    "qnn": "QNNExecutionProvider",
}
DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
FLOAT_OPS = {"Conv", "ConvTranspose", "FusedConv", "FusedGemm", "FusedMatMul", "Gemm", "MatMul"}
INT8_OPS = {
    *("ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat"),
    *("QGemm", "QLinearConv", "QLinearMatMul"),
}
# Suffixes that ONNX Runtime's optimiser adds to the names of the nodes and outputs that it changes.
SUFFIX = re.compile(r"(_nchwc|_token_\d+|/MatMulAddFusion.*)$")


def devices_here() -> tuple[str, ...]:
    """The devices of the execution providers of the installed ONNX Runtime, the CPU first."""
    available = import_onnxruntime().get_available_providers()
    return tuple(name for kind, provider in PROVIDERS.items() if provider in available for name in names_of(kind))


def names_of(kind: str) -> list[str]:
    """The devices of one kind: NVIDIA's GPUs by number, none without a driver."""
    return [f"{kind}:{number}" for number in range(gpu_count())] if kind in ("cuda", "tensorrt") else [kind]


def provider_options(device: str, precision: Precision) -> dict[str, str]:
    """The options of the execution provider of `device` with which it computes in `precision`."""
    kind, _, number = device.partition(":")
    if kind == "cuda":
        return {"device_id": number, "use_tf32": "0"}  # TF32 silently rounds fp32 to ten bits
    if kind == "tensorrt":
        return {"device_id": number, "trt_int8_enable": str(int(precision is Precision.INT8))}
    if kind == "qnn":
        return {"backend_path": "QnnHtp.dll" if sys.platform == "win32" else "libQnnHtp.so"}
    return {}


class OnnxRuntimeBackend(Backend):
    """One session that runs its nodes one after another, each on all its threads."""

    def __init__(self, artifact: Artifact, run: RunOptions) -> None:
        self._session = session_for(artifact, run)
        inputs, outputs = specs_of(self._session.get_inputs()), specs_of(self._session.get_outputs())
        super().__init__(f"{artifact.path.name} (onnxruntime)", inputs, outputs)
        self._names = [spec.name for spec in outputs]

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        return dict(zip(self._names, self._session.run(self._names, feed)))

    def _close(self) -> None:
        self._session = None


def session_for(artifact: Artifact, run: RunOptions) -> Any:
    """A session on `run.device`. UnavailableError if its execution provider does not start."""
    return open_session(
        artifact.path,
        threads=run.threads,
        narrow_weights=artifact.provenance.weight_bits == 7,
        provider=PROVIDERS[run.device.partition(":")[0]],
        options=provider_options(run.device, artifact.precision),
    )


def specs_of(values: Any) -> tuple[TensorSpec, ...]:
    """Names, types and shapes of a session's inputs or outputs; a named dimension is -1."""
    return tuple(
        TensorSpec(
            name=value.name,
            dtype=DTYPES.get(value.type, value.type[len("tensor(") : -1]),
            shape=tuple(side if isinstance(side, int) else -1 for side in value.shape),
        )
        for value in values
    )


def engine_file_from_onnx(job: BuildJob) -> BuildResult:
    """Copy the ONNX, and read back the optimised graph of ONNX Runtime."""
    import onnx as onnx_package

    shutil.copyfile(job.onnx.path, job.path)
    requests = requests_from_onnx(job.onnx.proto, Precision.FP32)
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        open_session(job.path, optimised=optimised)
        graph = onnx_package.load(optimised).graph
    return BuildResult(tuple(layer_from_node(node, requests) for node in graph.node))


def layer_from_node(node: Any, requests: Mapping[str, LayerRequest]) -> Layer:
    """A node of an optimised graph as a layer."""
    names = [SUFFIX.sub("", node.name), *node.output]
    return layer_from_names(names, node.op_type, obtained_precision(node), requests)


def obtained_precision(node: Any) -> str:
    """The precision in which a node of an optimised graph multiplies; "" if it does not."""
    if node.op_type in INT8_OPS:
        return str(Precision.INT8)
    return str(Precision.FP32) if node.op_type in FLOAT_OPS else ""


ENGINE = Engine(
    name="onnxruntime",
    extension="onnx",
    precisions=(Precision.FP32, Precision.INT8),
    install="pip install onnxruntime",
    packages=("onnxruntime",),
    runtime=import_onnxruntime,
    write=engine_file_from_onnx,
    load=OnnxRuntimeBackend,
    devices=devices_here,
    targets=("onnxruntime",),
)
