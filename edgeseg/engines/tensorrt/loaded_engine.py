"""A plan file as TensorRT's engine, or the reason why it is none here, with the command that makes one that is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from edgeseg.artifact import Artifact
from edgeseg.engines.tensorrt.compat import Release
from edgeseg.engines.tensorrt.cuda import Cuda
from edgeseg.engines.tensorrt.log import Log
from edgeseg.engines.tensorrt.refusals import DRIVER, MEMORY, builder_error, first_line, no_driver
from edgeseg.errors import EdgeSegError, FormatError, MismatchError, UnavailableError

VERSION = re.compile(r"version|serialized with|older|newer|magic tag|lean runtime", re.IGNORECASE)
GPU = re.compile(
    r"compute capabilit|different device|not compatible with|generated for|device .* mismatch", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class LoadedEngine:
    """A plan in the device's memory, and what TensorRT says of it. Drop the last reference with the context current."""

    runtime: Any
    engine: Any
    log: Log


# Streams of one process share the engine, and so its weights; each has an execution context of its own.
OPENED: WeakValueDictionary[tuple[Any, ...], LoadedEngine] = WeakValueDictionary()


def shared_engine(release: Release, artifact: Artifact, cuda: Cuda, device: str) -> LoadedEngine:
    """The engine of a plan, which is read once as long as somebody has it open."""
    check_plan(release, artifact, cuda.facts())
    stat = artifact.path.stat()
    key = (release.name, device, artifact.path.resolve(), stat.st_ino, stat.st_mtime_ns, stat.st_size)
    opened = OPENED.get(key)
    if opened is None:
        opened = OPENED[key] = engine_from_plan(release, artifact)
    return opened


def engine_from_plan(release: Release, artifact: Artifact) -> LoadedEngine:
    """TensorRT's runtime and engine for a plan."""
    log = Log(release.trt)
    try:
        runtime = release.trt.Runtime(log.sink)
    except (RuntimeError, TypeError) as problem:
        raise builder_error(log.errors, release.name) from problem
    if artifact.build.is_portable:
        runtime.engine_host_code_allowed = True  # a portable plan brings its own lean runtime, which is code
    engine = runtime.deserialize_cuda_engine(artifact.path.read_bytes())
    if engine is None:
        raise refusal(log.errors, release, artifact)
    return LoadedEngine(runtime, engine, log)


def check_plan(release: Release, artifact: Artifact, gpu: dict[str, Any]) -> None:
    """MismatchError where the sidecar says that the plan is for another TensorRT or another GPU."""
    build = artifact.build
    version, here = build.version, ".".join(map(str, release.version))
    if version and version != here and not build.is_portable:
        message = f"{artifact.path.name} is for {release.name} {version}, and this is {here}"
        raise MismatchError(message, hint=rebuild(artifact))
    built_for, capability = str(artifact.device.get("compute_capability", "")), str(gpu.get("compute_capability", ""))
    able = release.is_rtx or build.is_for_any_gpu or built_for == capability
    if build.gpus:
        able, built_for = capability in build.gpus, " and ".join(build.gpus)
    if built_for and capability and not able:
        message = f"{artifact.path.name} is for compute capability {built_for}, and this GPU has {capability}"
        raise MismatchError(message, hint=rebuild(artifact))


def refusal(errors: list[str], release: Release, artifact: Artifact) -> EdgeSegError:
    """Why TensorRT does not read a plan."""
    text = "\n".join(errors)
    if DRIVER.search(text):
        return no_driver(release.name)
    if MEMORY.search(text):
        hint = "close what else uses the GPU, or build with a smaller --size or --batch"
        return UnavailableError(f"the device has too little memory for {artifact.path.name}", hint=hint)
    reason = first_line(errors[-1]) if errors else "it does not say why"
    kind = MismatchError if VERSION.search(text) or GPU.search(text) else FormatError
    return kind(f"{release.name} does not take {artifact.path.name}: {reason}", hint=rebuild(artifact))


def rebuild(artifact: Artifact) -> str:
    """The command that makes the engine again, from the ONNX that its sidecar names."""
    name = artifact.build.onnx
    if not name:
        return f"edgeseg convert {artifact.spec.name} --engine {artifact.engine} --precision {artifact.precision}"
    onnx = artifact.path.with_name(name)
    where = onnx if onnx.exists() else Path(name)
    return f"edgeseg build {where} --engine {artifact.engine}"
