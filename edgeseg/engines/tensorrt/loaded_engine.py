"""A plan file as TensorRT's engine; if it cannot be loaded here, the reason and the command that builds it again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from edgeseg.artifact import Artifact
from edgeseg.engines.tensorrt.compat import Release
from edgeseg.engines.tensorrt.cuda import Cuda
from edgeseg.engines.tensorrt.log import Log
from edgeseg.engines.tensorrt.log_errors import (
    DRIVER,
    MEMORY,
    NO_REASON,
    OUT_OF_MEMORY,
    builder_error,
    driver_error,
    first_line,
)
from edgeseg.errors import EdgeSegError, FormatError, MismatchError, UnavailableError

VERSION = re.compile(r"version|serialized with|older|newer|magic tag|lean runtime", re.IGNORECASE)
GPU = re.compile(
    r"compute capabilit|different device|not compatible with|generated for|device .* mismatch", re.IGNORECASE
)


@dataclass(frozen=True, eq=False)
class LoadedEngine:
    """A plan in the device's memory, with its log. Drop the last reference with the context current."""

    runtime: Any
    engine: Any
    log: Log


# Backends of one process share the engine and so its weights; each has execution contexts of its own.
LOADED: WeakValueDictionary[tuple[Any, ...], LoadedEngine] = WeakValueDictionary()


def shared_engine(release: Release, artifact: Artifact, cuda: Cuda, device: str) -> LoadedEngine:
    """The engine of a plan; backends that are open at the same time share it."""
    check_plan(release, artifact, cuda.facts())
    stat = artifact.path.stat()
    key = (release.name, device, artifact.path.resolve(), stat.st_ino, stat.st_mtime_ns, stat.st_size)
    loaded = LOADED.get(key)
    if loaded is None:
        loaded = LOADED[key] = engine_from_plan(release, artifact)
    return loaded


def engine_from_plan(release: Release, artifact: Artifact) -> LoadedEngine:
    """TensorRT's runtime and engine for a plan."""
    log = Log(release.trt)
    try:
        runtime = release.trt.Runtime(log.sink)
    except (RuntimeError, TypeError) as problem:
        raise builder_error(log.errors, release.name) from problem
    if artifact.build.is_portable:
        runtime.engine_host_code_allowed = True  # a portable plan contains its own lean runtime, which is code
    engine = runtime.deserialize_cuda_engine(artifact.path.read_bytes())
    if engine is None:
        raise load_error(log.errors, release, artifact)
    return LoadedEngine(runtime, engine, log)


def check_plan(release: Release, artifact: Artifact, gpu: dict[str, Any]) -> None:
    """MismatchError if the sidecar says that the plan is for another TensorRT or another GPU."""
    build = artifact.build
    version, here = build.version, ".".join(map(str, release.version))
    if version and version != here and not build.is_portable:
        message = f"{artifact.path.name} is for {release.name} {version}; {here} is installed"
        raise MismatchError(message, hint=rebuild_command(artifact), code="ES-MISMATCH-VERSION")
    built_for, capability = str(artifact.device.get("compute_capability", "")), str(gpu.get("compute_capability", ""))
    supported = release.is_rtx or build.is_for_any_gpu or built_for == capability
    if build.gpus:
        supported, built_for = capability in build.gpus, " and ".join(build.gpus)
    if built_for and capability and not supported:
        message = f"{artifact.path.name} is for compute capability {built_for}; this GPU has {capability}"
        raise MismatchError(message, hint=rebuild_command(artifact), code="ES-MISMATCH-GPU")


def load_error(errors: list[str], release: Release, artifact: Artifact) -> EdgeSegError:
    """Why TensorRT cannot load a plan."""
    text = "\n".join(errors)
    if DRIVER.search(text):
        return driver_error(release.name)
    if MEMORY.search(text):
        message = f"the device has too little memory for {artifact.path.name}"
        hint = "close other programs that use the GPU, or build with a smaller --size or --batch"
        return UnavailableError(message, hint=hint, code=OUT_OF_MEMORY)
    message = f"{release.name} cannot load {artifact.path.name}: {first_line(errors[-1]) if errors else NO_REASON}"
    kind = MismatchError if VERSION.search(text) or GPU.search(text) else FormatError
    return kind(message, hint=rebuild_command(artifact))


def rebuild_command(artifact: Artifact) -> str:
    """The command that builds the engine again, from the ONNX that its sidecar names."""
    name = artifact.build.onnx
    if not name:
        return f"edgeseg convert {artifact.spec.name} --engine {artifact.engine} --precision {artifact.precision}"
    onnx = artifact.path.with_name(name)
    return f"edgeseg build {onnx if onnx.exists() else name} --engine {artifact.engine}"
