"""Plans for this GPU: of TensorRT, and of RTX in the form that runs according to the step `rtx`."""

from __future__ import annotations

from typing import Any

from edgeseg.artifact import Artifact, load_onnx
from edgeseg.engines import open_engine
from edgeseg.engines.build import engine_from_onnx
from edgeseg.engines.engine import BuildJob
from edgeseg.engines.options import BuildOptions
from edgeseg.engines.tensorrt.builder import plan_from_request
from edgeseg.engines.tensorrt.compat import RTX, TENSORRT, Release, import_release
from edgeseg.engines.tensorrt.engines import request_from_job
from edgeseg.errors import EdgeSegError, UnavailableError
from edgeseg.files import sha256_from_file
from edgeseg.spec import Precision
from gpu_steps.nets import onnx_of_net
from gpu_steps.work import Work

MADE_FOR = ("default", "current", "8.0")  # what an RTX plan may be compiled for, in the order in which it is tried


class AnyRtx(Release):
    """RTX, with the word for the GPU that is there beside the compute capabilities."""

    def compute_capability(self, text: str) -> Any:
        """RTX's name for "8.0" or "current"."""
        return self.trt.ComputeCapability.CURRENT if text == "current" else super().compute_capability(text)


def engines_here(work: Work) -> dict[str, str]:
    """The TensorRT engines that run here, and what a plan of each is made for. UnavailableError where none does."""
    usable, reasons = {}, []
    try:
        open_engine(TENSORRT).runnable()
        usable[TENSORRT] = "default"
    except EdgeSegError as problem:
        reasons.append(problem.message)
    runs = work.results("rtx").get("works")
    if runs:
        usable[RTX] = str(runs)
    else:
        reasons.append("no form of TensorRT-RTX runs (step rtx)")
    if not usable:
        raise UnavailableError("; ".join(reasons), hint="pip install tensorrt, or tensorrt-rtx, and --redo rtx")
    return usable


def plan_of_net(net: str, precision: Precision, engine: str, made_for: str, work: Work) -> Artifact:
    """The plan, from the run's folder where it was built from this very ONNX before."""
    source = onnx_of_net(net, precision, engine, work)
    folder = work.part(f"plans/{made_for}")
    path = folder / f"{net}.{engine}.{precision}.{open_engine(engine).extension}"
    if path.exists():
        plan = Artifact.open(path)
        if plan.provenance.built_from_sha256 == sha256_from_file(source.path):
            return plan
    return built(source, engine, made_for, work, net)


def built(source: Artifact, engine: str, made_for: str, work: Work, name: str) -> Artifact:
    """Compile. The sidecar does not say what an RTX plan is made for: whether it runs all the same is the question."""
    plan = engine_from_onnx(source.path, engine, out_dir=work.part(f"plans/{made_for}"), name=name)
    if made_for != "default":
        release = AnyRtx(RTX, import_release(RTX).trt)
        job = BuildJob(load_onnx(source.path), plan.path, source.precision, BuildOptions(gpus=(made_for,)))
        plan.path.write_bytes(plan_from_request(release, request_from_job(release, job), None).data)
        plan.write_sidecar()
    return plan
