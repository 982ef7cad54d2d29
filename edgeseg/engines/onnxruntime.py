"""ONNX Runtime on the CPU. The engine is the ONNX itself, with Q/DQ as ONNX Runtime fuses it where it is int8."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.artifact import Artifact, Layer
from edgeseg.engines.backend import Array, Backend
from edgeseg.engines.engine import Engine, Job, Written
from edgeseg.engines.layers import Request, layer_from_names, requests_from_onnx
from edgeseg.spec import Precision, TensorSpec

ERRORS_ONLY = 3
DTYPES = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
FLOAT_OPS = {"Conv", "ConvTranspose", "FusedConv", "FusedGemm", "FusedMatMul", "Gemm", "MatMul"}
INT8_OPS = {
    *("ConvInteger", "DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat"),
    *("QGemm", "QLinearConv", "QLinearMatMul"),
}
# What ONNX Runtime's optimiser appends to the name of a node that it rewrites, or of its output.
SUFFIX = re.compile(r"(_nchwc|_token_\d+|/MatMulAddFusion.*)$")


def import_onnxruntime() -> Any:
    """The runtime, without the telemetry of its Windows builds."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


class OnnxRuntimeBackend(Backend):
    """One session that runs its nodes one after another, each on all its threads."""

    def __init__(self, artifact: Artifact, threads: int | None) -> None:
        self._session = session_from_onnx(artifact.path, threads)
        inputs, outputs = specs_of(self._session.get_inputs()), specs_of(self._session.get_outputs())
        super().__init__(f"{artifact.path.name} (onnxruntime)", inputs, outputs)
        self._names = [spec.name for spec in outputs]

    def _infer(self, feed: Mapping[str, Array]) -> Mapping[str, Array]:
        return dict(zip(self._names, self._session.run(self._names, feed)))

    def _close(self) -> None:
        self._session = None


def session_from_onnx(path: Path, threads: int | None = None, *, optimised: Path | None = None) -> Any:
    """A session for the CPU. optimised: where to write the graph that will run."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    # Threads that spin while they wait cost the neighbours (decoder, encoder) a third of the CPU, and win 3%.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if optimised is not None:
        options.optimized_model_filepath = str(optimised)
    return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


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


def engine_file_from_onnx(job: Job) -> Written:
    """Copy the ONNX, and read back the graph that ONNX Runtime makes of it."""
    import onnx as onnx_package

    shutil.copyfile(job.onnx.path, job.path)
    requests = requests_from_onnx(job.onnx.proto, Precision.FP32)
    with tempfile.TemporaryDirectory() as folder:
        optimised = Path(folder) / "optimised.onnx"
        session_from_onnx(job.path, optimised=optimised)
        graph = onnx_package.load(optimised).graph
    return Written(tuple(layer_from_node(node, requests) for node in graph.node))


def layer_from_node(node: Any, requests: Mapping[str, Request]) -> Layer:
    """A node of an optimised graph as a layer."""
    names = [SUFFIX.sub("", node.name), *node.output]
    return layer_from_names(names, node.op_type, obtained_precision(node), requests)


def obtained_precision(node: Any) -> str:
    """In what a node of an optimised graph multiplies; "" where it does not."""
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
    targets=("onnxruntime",),
)
