"""The engines `tensorrt` and `tensorrt_rtx`: compile an ONNX to a plan, and read back the layers of the plan."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgeseg.engines.engine import BuildJob, BuildResult, Engine
from edgeseg.engines.layers import requests_from_onnx
from edgeseg.engines.tensorrt.backend import TensorRtBackend
from edgeseg.engines.tensorrt.build_log import layers_from_log
from edgeseg.engines.tensorrt.builder import BuildRequest, Plan, plan_from_request, shapes_from_options
from edgeseg.engines.tensorrt.compat import RTX, TENSORRT, Release, assumed_release, import_release
from edgeseg.engines.tensorrt.device import check_device, cuda_devices, current_device
from edgeseg.engines.tensorrt.inspector import layers_from_inspector
from edgeseg.engines.tensorrt.log_errors import builder_error
from edgeseg.engines.tensorrt.memory import with_workspace
from edgeseg.engines.tensorrt.plan_layers import PlanLayer, layers_from_plan
from edgeseg.engines.tensorrt.timing_cache import timing_cache_for
from edgeseg.engines.tensorrt.trtexec import trtexec_line
from edgeseg.errors import FormatError
from edgeseg.files import whole_file
from edgeseg.graph.dynamic_batch import with_dynamic_batch
from edgeseg.graph.opset17 import lowered_to_opset17
from edgeseg.provenance import BuildInfo
from edgeseg.spec import Precision


def build_plan(name: str, job: BuildJob) -> BuildResult:
    """Compile `job` with the TensorRT `name`, "tensorrt" or "tensorrt_rtx"."""
    release = import_release(name)
    with current_device(job.device) as device:
        request = with_workspace(release, request_from_job(release, job), device)
        timings = timing_cache_for(release, str(device.get("gpu", "")), job.options.timing_cache)
        plan = plan_from_request(release, request, timings, job.progress)
        job.path.write_bytes(plan.data)
        plan_layers = layers_of_plan(release, plan)
    layers = layers_from_plan(plan_layers, requests_from_onnx(request.onnx))
    # attention over one position is no product any more once it is compiled
    removable = products_of_activations(request.onnx)
    layers = tuple(layer for layer in layers if layer.op or layer.name not in removable)
    facts = {key: value for key, value in device.items() if key != "free_mib"}
    return BuildResult(layers, build_info(job.onnx.path.name, release, request, plan, plan_layers), facts)


def products_of_activations(onnx: Any) -> set[str]:
    """The names of the matrix products without weights."""
    producers = {output: node for node in onnx.graph.node for output in node.output}
    constants = {constant.name for constant in onnx.graph.initializer}

    def is_constant(name: str) -> bool:
        producer = producers.get(name)
        return name in constants or (producer is not None and producer.input != [] and is_constant(producer.input[0]))

    products = [node for node in onnx.graph.node if node.op_type in ("MatMul", "Gemm")]
    return {node.name for node in products if not any(map(is_constant, node.input[:2]))}


def dry_run_line(name: str, job: BuildJob) -> str:
    """NVIDIA's command for `job`: `trtexec ...`. An ONNX that it needs beside that of `job` is written to its folder.

    TensorRT need not be installed.
    """
    release = assumed_release(name)
    request, onnx = request_from_job(release, job), job.onnx.path
    if request.name != onnx.name:
        onnx = job.path.with_name(request.name)
        with whole_file(onnx) as partial_file:
            partial_file.write_bytes(request.onnx.SerializeToString(deterministic=True))
    return trtexec_line(release, request, onnx)


def request_from_job(release: Release, job: BuildJob) -> BuildRequest:
    """The ONNX of `job` as the parser of `release` reads it, and the shapes of the plan."""
    model, suffixes = job.onnx.graph(), []
    if job.options.batch != (1, 1, 1):
        model, suffixes = with_dynamic_batch(model), ["batch"]
    if release.last_opset == 17:
        model, suffixes = lowered_to_opset17(model), [*suffixes, "opset17"]
    name = ".".join([job.onnx.path.stem, *suffixes, "onnx"])
    size = job.onnx.spec.input
    shapes = shapes_from_options(size.height, size.width, job.options)
    return BuildRequest(ir.to_proto(model), name, job.precision, job.options, shapes)


def layers_of_plan(release: Release, plan: Plan) -> tuple[PlanLayer, ...]:
    """The layers of `plan`: from the build log if that ends with them, otherwise from the engine inspector."""
    try:
        return layers_from_log(plan.log.messages)
    except FormatError:
        return layers_from_inspector(inspector_json(release, plan))


def inspector_json(release: Release, plan: Plan) -> str:
    """The description of `plan` by TensorRT's engine inspector, which needs the GPU."""
    runtime = release.trt.Runtime(plan.log.sink)
    engine = runtime.deserialize_cuda_engine(plan.data)
    if engine is None:
        raise builder_error(plan.log.errors, release.name)
    return str(engine.create_engine_inspector().get_engine_information(release.trt.LayerInformationFormat.JSON))


def build_info(
    onnx: str, release: Release, request: BuildRequest, plan: Plan, layers: tuple[PlanLayer, ...]
) -> BuildInfo:
    """The build for the sidecar, as JSON gives it back: with lists for tuples."""
    data = {
        "onnx": onnx,
        "version": ".".join(map(str, release.version)),
        "options": request.options.to_dict(),
        "profile": request.profile,
        "plan_bytes": len(plan.data),
        "fell_back": plan.fell_back,
        "trtexec": trtexec_line(release, request, Path(request.name)),
        "layers": [layer.to_dict() for layer in layers],
    }
    return BuildInfo.from_dict(json.loads(json.dumps(data)))


def engine_of(name: str, install: str, options: frozenset[str]) -> Engine:
    """The table entry of one TensorRT."""
    return Engine(
        name=name,
        extension="plan",
        precisions=(Precision.FP32, Precision.FP16, Precision.INT8),
        install=install,
        packages=(name,),
        runtime=partial(import_release, name),
        write=partial(build_plan, name),
        load=partial(TensorRtBackend, name),
        devices=cuda_devices,
        targets=("canonical", "tensorrt", "tensorrt_rtx"),
        obtained_share=1.0,
        options=options | {"batch", "workspace_mib", "level"},
        runs_here=check_device,
        takes_minutes=True,
        dry_run=partial(dry_run_line, name),
    )


# TensorRT 8.6, 10 and 11, on a Jetson or with a discrete GPU: compiles on the GPU that runs the plan.
TENSORRT_ENGINE = engine_of(
    TENSORRT,
    "pip install tensorrt; on a Jetson use JetPack's: python3 -m venv --system-site-packages",
    frozenset({"dla", "timing_cache", "portable", "any_gpu"}),
)
# TensorRT-RTX, for GeForce and RTX cards: compiles on any machine, with or without a GPU.
RTX_ENGINE = engine_of(RTX, "pip install tensorrt-rtx", frozenset({"gpus"}))
