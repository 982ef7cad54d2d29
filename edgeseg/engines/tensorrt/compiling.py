"""What both TensorRT engines do with a job: an ONNX that the release reads, a plan, and its layers read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgeseg.engines.engine import BuildJob, BuildResult
from edgeseg.engines.layers import requests_from_onnx
from edgeseg.engines.tensorrt.builder import BuildRequest, Plan, plan_from_request, shapes_from_options
from edgeseg.engines.tensorrt.compat import Release, assumed_release, import_release
from edgeseg.engines.tensorrt.device import current_device
from edgeseg.engines.tensorrt.dump import layers_from_log
from edgeseg.engines.tensorrt.inspector import layers_from_inspector
from edgeseg.engines.tensorrt.layer import PlanLayer
from edgeseg.engines.tensorrt.memory import fitted
from edgeseg.engines.tensorrt.obtained import layers_from_plan
from edgeseg.engines.tensorrt.refusals import builder_error
from edgeseg.engines.tensorrt.timings import timings_for
from edgeseg.engines.tensorrt.trtexec import trtexec_line
from edgeseg.errors import FormatError
from edgeseg.files import whole_file
from edgeseg.graph.dynamic_batch import with_dynamic_batch
from edgeseg.graph.opset17 import lowered_to_opset17
from edgeseg.provenance import BuildInfo


def written_by(name: str, job: BuildJob) -> BuildResult:
    """Compile `job` with the TensorRT `name`, "tensorrt" or "tensorrt_rtx"."""
    release = import_release(name)
    with current_device(job.device) as device:
        return compiled(release, job, device)


def compiled(release: Release, job: BuildJob, device: dict[str, Any]) -> BuildResult:
    """Compile `job` on the GPU that is current. device: what is known of it."""
    order = fitted(release, order_from_job(release, job), device)
    timings = timings_for(release, str(device.get("gpu", "")), job.options.timing_cache)
    plan = plan_from_request(release, order, timings, job.progress)
    job.path.write_bytes(plan.data)
    layers = plan_layers(release, plan)
    known = {key: value for key, value in device.items() if key != "free_mib"}
    obtained = layers_from_plan(layers, requests_from_onnx(order.onnx))
    vanishing = weightless(order.onnx)
    there = tuple(layer for layer in obtained if layer.op or layer.name not in vanishing)
    return BuildResult(there, facts(job.onnx.path.name, release, order, plan, layers), known)


def weightless(onnx: Any) -> set[str]:
    """The products of two activations, by name: attention over one position is none any more once it is compiled."""
    makers = {output: node for node in onnx.graph.node for output in node.output}
    constants = {constant.name for constant in onnx.graph.initializer}

    def is_constant(name: str) -> bool:
        maker = makers.get(name)
        return name in constants or (maker is not None and maker.input != [] and is_constant(maker.input[0]))

    products = [node for node in onnx.graph.node if node.op_type in ("MatMul", "Gemm")]
    return {node.name for node in products if not any(map(is_constant, node.input[:2]))}


def dry_line(name: str, job: BuildJob) -> str:
    """NVIDIA's own command for `job`: `trtexec ...`. Where that needs another ONNX, it is written beside `job.path`.

    TensorRT need not be installed.
    """
    release = assumed_release(name)
    order, given = order_from_job(release, job), job.onnx.path
    if order.name != given.name:
        given = job.path.with_name(order.name)
        with whole_file(given) as partial:
            partial.write_bytes(order.onnx.SerializeToString(deterministic=True))
    return trtexec_line(release, order, given)


def order_from_job(release: Release, job: BuildJob) -> BuildRequest:
    """The ONNX of `job` as `release` reads it, and the shapes that the plan is to take."""
    model, options = job.onnx.graph(), job.options
    passes = {
        "batch": with_dynamic_batch if options.batch != (1, 1, 1) else None,
        "opset17": lowered_to_opset17 if release.last_opset == 17 else None,
    }
    needed = {name: change for name, change in passes.items() if change is not None}
    for change in needed.values():
        model = change(model)
    name = ".".join([job.onnx.path.stem, *needed, "onnx"])
    given = job.onnx.spec.input
    shapes = shapes_from_options(given.height, given.width, options)
    return BuildRequest(ir.to_proto(model), name, job.precision, options, shapes)


def plan_layers(release: Release, plan: Plan) -> tuple[PlanLayer, ...]:
    """The layers of `plan`: from the build log where that ends with them, else from the engine inspector."""
    try:
        return layers_from_log(plan.log.messages)
    except FormatError:
        return layers_from_inspector(inspected(release, plan))


def inspected(release: Release, plan: Plan) -> str:
    """What TensorRT's engine inspector says of `plan`; it needs the GPU."""
    runtime = release.trt.Runtime(plan.log.sink)
    engine = runtime.deserialize_cuda_engine(plan.data)
    if engine is None:
        raise builder_error(plan.log.errors, release.name)
    return str(engine.create_engine_inspector().get_engine_information(release.trt.LayerInformationFormat.JSON))


def facts(onnx: str, release: Release, order: BuildRequest, plan: Plan, layers: tuple[PlanLayer, ...]) -> BuildInfo:
    """What the sidecar keeps of a build, as JSON gives it back: with lists for tuples."""
    known = {
        "onnx": onnx,
        "version": ".".join(map(str, release.version)),
        "options": order.options.to_dict(),
        "profile": order.profile,
        "plan_bytes": len(plan.data),
        "fell_back": plan.fell_back,
        "trtexec": trtexec_line(release, order, Path(order.name)),
        "layers": [layer.to_dict() for layer in layers],
    }
    return BuildInfo.from_dict(json.loads(json.dumps(known)))
