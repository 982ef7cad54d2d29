"""NVIDIA's command that repeats a build: `trtexec`, or `tensorrt_rtx` of TensorRT-RTX."""

from __future__ import annotations

import shlex
from pathlib import Path

from edgeseg.engines.tensorrt.builder import BuildRequest
from edgeseg.engines.tensorrt.compat import Release
from edgeseg.spec import Precision

# For 8.6. JetPack 5 has 8.5, for which edgeseg only writes files.
WEAK = {Precision.FP32: (), Precision.FP16: ("--fp16",), Precision.INT8: ("--int8", "--fp16")}


def trtexec_line(release: Release, request: BuildRequest, onnx: Path) -> str:
    """One line for a shell. onnx: the file of `request.onnx`."""
    plan = onnx.with_suffix(".plan")
    words = ["tensorrt_rtx" if release.is_rtx else "trtexec", f"--onnx={onnx}", f"--saveEngine={plan}"]
    words += type_flags(release, request.precision)
    words += ["--skipInference", "--profilingVerbosity=detailed", *option_flags(release, request)]
    return shlex.join(words)


def type_flags(release: Release, precision: Precision) -> list[str]:
    """The flags that make the types of the ONNX count."""
    if release.is_always_typed:
        return []
    if release.is_strongly_typed:
        return ["--stronglyTyped"]
    return [*WEAK[precision], *(["--precisionConstraints=obey"] if WEAK[precision] else [])]


def option_flags(release: Release, request: BuildRequest) -> list[str]:
    """The flags of the options, and of the profile."""
    options, words = request.options, []
    if options.workspace_mib is not None:
        words.append(f"--memPoolSize=workspace:{options.workspace_mib}")
    if options.level is not None:
        words.append(f"--builderOptimizationLevel={options.level}")
    if options.dla is not None:
        words += [f"--useDLACore={options.dla}", "--allowGPUFallback"]
    if options.portable:
        words.append("--versionCompatible")
    if options.any_gpu:
        words.append("--hardwareCompatibilityLevel=ampere+")
    if options.gpus:
        words.append(f"--computeCapabilities={','.join(options.gpus)}")
    number = options.device.partition(":")[2]
    if number not in ("", "0") and not options.gpus:
        words.append(f"--device={number}")
    if request.profile:
        name = request.onnx.graph.input[0].name
        for flag, shape in zip(("minShapes", "optShapes", "maxShapes"), request.profile):
            words.append(f"--{flag}={name}:{'x'.join(map(str, shape))}")
    return words
