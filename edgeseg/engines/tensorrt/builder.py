"""From an ONNX to a serialised plan, in one way for every release: the ONNX states all types, and TensorRT compiles."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.engines.options import BuildOptions
from edgeseg.engines.tensorrt.compat import Release
from edgeseg.engines.tensorrt.log import Log
from edgeseg.engines.tensorrt.log_errors import build_error, builder_error, parse_error
from edgeseg.engines.tensorrt.monitor import monitor_for
from edgeseg.engines.tensorrt.timing_cache import TimingCache
from edgeseg.errors import SizeError, UnavailableError
from edgeseg.interrupt import Hold, interrupts_held
from edgeseg.progress import Progress, silent
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)
MIB = 1 << 20
LISTED_LAYERS = 5  # of those that a DLA leaves to the GPU, in the log; the sidecar lists all


@dataclass(frozen=True)
class BuildRequest:
    """One build.

    onnx: a checked `onnx.ModelProto` that the release's parser reads. name: of its file. profile: the smallest, usual
    and largest shape of its one input; () if that is fixed.
    """

    onnx: Any
    name: str
    precision: Precision
    options: BuildOptions
    profile: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Plan:
    """A serialised plan and the log of its build. fell_back: layers that a DLA left to the GPU."""

    data: bytes
    log: Log
    fell_back: tuple[str, ...] = ()


def plan_from_request(
    release: Release, request: BuildRequest, timings: TimingCache | None, progress: Progress = silent
) -> Plan:
    """Compile, which may take minutes. Ctrl-C stops it; before 10.0 it takes effect when the build ends.

    FormatError if the parser or the builder rejects the ONNX; UnavailableError if the device is missing or too small.
    """
    log = Log(release.trt)
    builder = builder_of(release, log)
    network = builder.create_network(release.network_flags())
    parser = release.trt.OnnxParser(network, log.sink)
    if not parser.parse(request.onnx.SerializeToString()):
        raise parse_error([parser.get_error(number) for number in range(parser.num_errors)], request.onnx, request.name)
    config = builder_config(release, builder, network, request)
    fell_back = put_on_dla(release, builder, config, network, request.options)
    cache = timings.attach(release, config) if timings else None
    with interrupts_held() as hold, hold:  # the bindings drop a Ctrl-C that comes during their callbacks
        report_progress(release, config, log, hold, progress)
        data = builder.build_serialized_network(network, config)
    if log.is_interrupted:
        raise KeyboardInterrupt
    if data is None:
        raise build_error(log.errors, request.onnx, request.name, release.name)
    if timings and cache is not None:
        timings.save(cache)
    return Plan(bytes(data), log, fell_back)


def builder_of(release: Release, log: Log) -> Any:
    """TensorRT's builder. UnavailableError without a driver or a device."""
    try:
        return release.trt.Builder(log.sink)
    except (RuntimeError, TypeError) as problem:  # the bindings raise these if the library returns null
        raise builder_error(log.errors, release.name) from problem


def builder_config(release: Release, builder: Any, network: Any, request: BuildRequest) -> Any:
    """The builder's configuration for `request`."""
    trt, options, config = release.trt, request.options, builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    for flag in release.precision_flags(request.precision):
        config.set_flag(flag)
    if not release.is_strongly_typed and request.precision is not Precision.FP32:
        keep_stated_types(trt, network)
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib * MIB)
    if options.level is not None:
        config.builder_optimization_level = options.level
    if options.portable:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.any_gpu:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.gpus:
        set_capabilities(release, config, options.gpus)
    if request.profile:
        add_profile(builder, config, network.get_input(0).name, request.profile)
    return config


def keep_stated_types(trt: Any, network: Any) -> None:
    """Fix every layer that is float32 in the ONNX to float32: a weakly typed network may choose less."""
    for layer in map(network.get_layer, range(network.num_layers)):
        outputs = [layer.get_output(number) for number in range(layer.num_outputs)]
        if layer.type not in free_layer_types(trt) and outputs and all(each.dtype == trt.float32 for each in outputs):
            layer.precision = trt.float32


def free_layer_types(trt: Any) -> set[Any]:
    """Layers whose precision stays free: those that Q/DQ may make int8; constants, shapes, casts and the Q/DQ."""
    kind = trt.LayerType
    products = {kind.CONVOLUTION, kind.DECONVOLUTION, kind.MATRIX_MULTIPLY, kind.ELEMENTWISE}
    return products | {kind.CONSTANT, kind.SHAPE, kind.CAST, kind.QUANTIZE, kind.DEQUANTIZE}


def set_capabilities(release: Release, config: Any, gpus: Sequence[str]) -> None:
    """Set the GPUs that an RTX plan is for. RTX returns False for one that it refuses, and would crash in the build."""
    config.num_compute_capabilities = len(gpus)
    for number, text in enumerate(gpus):
        if not config.set_compute_capability(release.compute_capability(text), number):
            message = f"{release.name} refuses one plan for the compute capabilities {', '.join(gpus)}"
            raise UnavailableError(message, hint="build one plan for each: --gpu once", code="ES-MISSING-GPU")


def add_profile(builder: Any, config: Any, name: str, shapes: Sequence[tuple[int, ...]]) -> None:
    """Add the smallest, usual and largest shape of the input `name`."""
    profile = builder.create_optimization_profile()
    profile.set_shape(name, *shapes)
    if config.add_optimization_profile(profile) < 0:
        text = ", ".join("x".join(map(str, shape)) for shape in shapes)
        hint = "give --batch as fewest:usual:most"
        raise SizeError(f"TensorRT refuses the shapes {text}", hint=hint, code="ES-SIZE-BATCH")


def put_on_dla(release: Release, builder: Any, config: Any, network: Any, options: BuildOptions) -> tuple[str, ...]:
    """Put all layers that the DLA core of `options` can run on it; the names of those that stay on the GPU."""
    if options.dla is None:
        return ()
    if options.dla >= builder.num_DLA_cores:
        cores = int(builder.num_DLA_cores)
        hint = f"use --dla 0 to {cores - 1}" if cores else "omit --dla"
        message = f"this device has no DLA core {options.dla}; it has {cores} DLA cores"
        raise UnavailableError(message, hint=hint, code="ES-MISSING-DLA")
    config.default_device_type = release.trt.DeviceType.DLA
    config.DLA_core = options.dla
    config.set_flag(release.trt.BuilderFlag.GPU_FALLBACK)
    layers = map(network.get_layer, range(network.num_layers))
    fell_back = tuple(layer.name for layer in layers if not config.can_run_on_DLA(layer))
    if fell_back:
        names = ", ".join([*fell_back[:LISTED_LAYERS], *["..."][: len(fell_back) - LISTED_LAYERS]])
        count = len(fell_back)
        logger.warning("the DLA cannot run %d of %d layers; the GPU runs them: %s", count, network.num_layers, names)
    return fell_back


def report_progress(release: Release, config: Any, log: Log, hold: Hold, progress: Progress) -> None:
    """Report the progress of the build; before 10.0, which has no progress monitor, only that it runs."""
    base = release.progress_monitor()
    progress("build", 0, None)
    if base is not None:
        config.progress_monitor = monitor_for(base, progress, log, hold)


def shapes_from_options(height: int, width: int, options: BuildOptions) -> tuple[tuple[int, ...], ...]:
    """The three shapes (N, H, W, 3) of the profile; () for one image at a time."""
    return () if options.batch == (1, 1, 1) else tuple((count, height, width, 3) for count in options.batch)
