"""The model file of a repository: an ONNX that takes frames and gives masks, or a TensorRT plan."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import onnx_ir as ir

from edgeseg.artifact import Artifact, LoadedModel, write_onnx
from edgeseg.engines import open_engine
from edgeseg.engines.build import check_source
from edgeseg.engines.engine import BuildJob
from edgeseg.engines.options import BuildOptions
from edgeseg.engines.tensorrt.compat import TENSORRT, assumed_release
from edgeseg.engines.tensorrt.engines import request_from_job
from edgeseg.engines.tensorrt.trtexec import trtexec_line
from edgeseg.engines.triton.config import BACKENDS, ServerBackend
from edgeseg.errors import MismatchError, SizeError, UnknownNameError
from edgeseg.graph.deploy import FRAME, MASK, append_mask_tail
from edgeseg.graph.dynamic_batch import with_dynamic_batch
from edgeseg.spec import Output, TensorSpec

ONNX = "model.onnx"


@dataclass(frozen=True)
class ModelFile:
    """A written model. path: of its file. frame, mask: its tensors for one image. batch: the most images at once.

    plan_command: the line for a shell that makes the plan of the ONNX; "" where nothing is missing.
    """

    path: Path
    artifact: Artifact
    frame: TensorSpec
    mask: TensorSpec
    batch: int
    plan_command: str = ""


def backend_name(artifact: Artifact, name: str) -> str:
    """`name`, or for "" the back end of the artifact's engine. UnknownNameError where it is not one of BACKENDS."""
    if name and name not in BACKENDS:
        raise UnknownNameError.among("back end", name, BACKENDS)
    own = artifact.engine or artifact.provenance.target
    fitting = (key for key, backend in BACKENDS.items() if own in open_engine(backend.engine).targets)
    return name or next(fitting, "onnxruntime")


def write_model_file(
    model: LoadedModel | Artifact, folder: Path, backend: ServerBackend, batch: int | None
) -> ModelFile:
    """Write `model` to `folder` for `backend`. batch: the most images at once; None for the usual number.

    MismatchError where the back end does not run the model, or its graph takes one image only; SizeError where a plan
    takes fewer images.
    """
    engine = open_engine(backend.engine)
    if isinstance(model, Artifact):
        return copied_plan(model, folder, backend, batch)
    engine.check_precision(model.precision)
    check_source(model, engine, model.precision)
    batch, masked = batch or backend.batch, with_mask(model, folder / ONNX)
    frame, mask = (tensor_of(each[0]) for each in (masked.graph().graph.inputs, masked.graph().graph.outputs))
    try:
        if backend.engine == TENSORRT:
            return onnx_of_plan(masked, frame, mask, batch)
        graph = masked.graph()
        write_onnx(ir.to_proto(with_dynamic_batch(graph) if batch > 1 else graph), masked.artifact)
    except MismatchError as problem:
        raise MismatchError(problem.message, hint="add --batch 1", code=problem.code) from problem
    return ModelFile(masked.path, masked.artifact, frame, mask, batch)


def with_mask(model: LoadedModel, path: Path) -> LoadedModel:
    """The model with a mask for its only output, to be written to `path`."""
    graph = model.graph()
    if model.output is Output.LOGITS:
        append_mask_tail(graph, model.spec)
    del graph.graph.outputs[1:]
    spec = dataclasses.replace(model.spec, outputs=())
    return LoadedModel(
        dataclasses.replace(model.artifact, path=path, spec=spec, output=Output.MASK, engine=""), ir.to_proto(graph)
    )


def tensor_of(value: ir.Value) -> TensorSpec:
    """The name and shape of an input or output for one image."""
    return TensorSpec(str(value.name), "uint8", tuple(int(side) for side in value.shape or ()))


def onnx_of_plan(model: LoadedModel, frame: TensorSpec, mask: TensorSpec, batch: int) -> ModelFile:
    """Write the ONNX that the server's TensorRT compiles: a plan of this machine would rarely run there."""
    release, options = assumed_release(TENSORRT), BuildOptions(batch=(1, batch, batch))
    request = request_from_job(release, BuildJob(model, model.path.with_suffix(".plan"), model.precision, options))
    write_onnx(request.onnx, model.artifact)
    return ModelFile(model.path, model.artifact, frame, mask, batch, trtexec_line(release, request, Path(ONNX)))


def copied_plan(plan: Artifact, folder: Path, backend: ServerBackend, batch: int | None) -> ModelFile:
    """Copy a plan, which the user built where it is served."""
    if plan.engine != backend.engine:
        message = f"{plan.path.name} is a plan of {plan.engine}, which this back end of Triton does not run"
        raise MismatchError(
            message, hint="use --backend tensorrt_plan and a plan of tensorrt", code="ES-MISMATCH-ENGINE"
        )
    if plan.output is not Output.MASK:
        hint = f"build it with a mask: edgeseg convert {plan.spec.name} --engine tensorrt --mask"
        raise MismatchError(f"{plan.path.name} gives logits, not a mask", hint=hint, code="ES-OUTPUT")
    least, most = plan.build.batch
    if least > 1 or (batch or most) > most:
        message = f"{plan.path.name} takes from {least} to {most} images at once"
        raise SizeError(message, hint=f"build it with --batch 1:{batch or most}:{batch or most}", code="ES-SIZE-BATCH")
    path = folder / backend.file
    shutil.copyfile(plan.path, path)
    size = (plan.spec.input.height, plan.spec.input.width)
    frame, mask = TensorSpec(FRAME, "uint8", (1, *size, 3)), TensorSpec(MASK, "uint8", (1, *size))
    # a plan that was built for one image has a fixed batch
    return ModelFile(path, plan, frame, mask, 1 if most == 1 else batch or most)
