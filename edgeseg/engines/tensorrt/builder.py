"""From an ONNX to a serialised plan, on every release by one path: the ONNX states all types, TensorRT compiles."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeseg.engines.options import BuildOptions
from edgeseg.engines.tensorrt.compat import Release
from edgeseg.engines.tensorrt.log import Log
from edgeseg.engines.tensorrt.monitor import monitor_for
from edgeseg.engines.tensorrt.refusals import build_error, builder_error, parse_error
from edgeseg.engines.tensorrt.timings import Timings
from edgeseg.errors import SizeError, UnavailableError
from edgeseg.interrupt import Hold, interrupts_held
from edgeseg.progress import Progress, silent
from edgeseg.spec import Precision

logger = logging.getLogger(__name__)
MIB = 1 << 20
SHOWN = 5  # of the layers that a DLA leaves to the GPU; the sidecar has them all


@dataclass(frozen=True)
class BuildRequest:
    """What is to be built.

    onnx: a checked `onnx.ModelProto` that the release's parser reads. profile: the smallest, usual and largest shape
    of its one input; () where that is fixed.
    """

    onnx: Any
    name: str
    precision: Precision
    options: BuildOptions
    profile: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Plan:
    """A plan and what was said while it was made. fell_back: layers that a DLA left to the GPU."""

    data: bytes
    log: Log
    fell_back: tuple[str, ...] = ()


def plan_from_request(
    release: Release, order: BuildRequest, timings: Timings | None, progress: Progress = silent
) -> Plan:
    """Compile. It may take minutes, and stops at Ctrl-C; before 10.0, which cannot be stopped, when it is done.

    FormatError where the parser refuses a node or nothing can be compiled; UnavailableError where the device is not
    there or too small.
    """
    log = Log(release.trt)
    builder = opened_builder(release, log)
    network = builder.create_network(release.network_flags())
    parser = release.trt.OnnxParser(network, log.sink)
    if not parser.parse(order.onnx.SerializeToString()):
        raise parse_error([parser.get_error(number) for number in range(parser.num_errors)], order.onnx, order.name)
    config = configured(release, builder, network, order)
    fell_back = put_on_dla(release, builder, config, network, order.options)
    cache = timings.attach(release, config) if timings else None
    with interrupts_held() as hold, hold:  # the bindings print and drop a Ctrl-C that comes while they call us
        watch(release, config, log, hold, progress)
        data = builder.build_serialized_network(network, config)
    if log.is_interrupted:
        raise KeyboardInterrupt
    if data is None:
        raise build_error(log.errors, order.onnx, order.name, release.name)
    if timings and cache is not None:
        timings.keep(cache)
    return Plan(bytes(data), log, fell_back)


def opened_builder(release: Release, log: Log) -> Any:
    """TensorRT's builder. UnavailableError where it cannot be made: no driver, or no device."""
    try:
        return release.trt.Builder(log.sink)
    except (RuntimeError, TypeError) as problem:  # the bindings' way to say that the library gave them nothing
        raise builder_error(log.errors, release.name) from problem


def configured(release: Release, builder: Any, network: Any, order: BuildRequest) -> Any:
    """The builder's configuration for `order`."""
    trt, options, config = release.trt, order.options, builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    for flag in release.precision_flags(order.precision):
        config.set_flag(flag)
    if not release.is_strongly_typed and order.precision is not Precision.FP32:
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
    if order.profile:
        add_profile(builder, config, network.get_input(0).name, order.profile)
    return config


def keep_stated_types(trt: Any, network: Any) -> None:
    """Hold every layer that computes in float32 in the ONNX there: a weakly typed network may lower it else."""
    for layer in map(network.get_layer, range(network.num_layers)):
        outputs = [layer.get_output(number) for number in range(layer.num_outputs)]
        fixed = layer.type in shape_layers(trt) or is_quantised(trt, layer)
        if not fixed and outputs and all(each.dtype == trt.float32 for each in outputs):
            layer.precision = trt.float32


def shape_layers(trt: Any) -> set[Any]:
    """Kinds of layers whose precision is not for us to set: constants, shapes, casts, and the Q/DQ themselves."""
    kind = trt.LayerType
    return {kind.CONSTANT, kind.SHAPE, kind.CAST, kind.QUANTIZE, kind.DEQUANTIZE}


def is_quantised(trt: Any, layer: Any) -> bool:
    """Whether `layer` multiplies, so that Q/DQ around it may make it int8."""
    kind = trt.LayerType
    return layer.type in {kind.CONVOLUTION, kind.DECONVOLUTION, kind.MATRIX_MULTIPLY, kind.ELEMENTWISE}


def set_capabilities(release: Release, config: Any, gpus: Sequence[str]) -> None:
    """Which GPUs an RTX engine is made for. It answers False to one that it refuses, and would crash at the build."""
    config.num_compute_capabilities = len(gpus)
    for number, text in enumerate(gpus):
        if not config.set_compute_capability(release.compute_capability(text), number):
            raise UnavailableError(
                f"{release.name} refuses compute capability {text} beside {', '.join(gpus)}", hint="build one at a time"
            )


def add_profile(builder: Any, config: Any, name: str, shapes: Sequence[tuple[int, ...]]) -> None:
    """The shapes that the input `name` may take: smallest, usual, largest."""
    profile = builder.create_optimization_profile()
    profile.set_shape(name, *shapes)
    if config.add_optimization_profile(profile) < 0:
        text = ", ".join("x".join(map(str, shape)) for shape in shapes)
        raise SizeError(f"no engine takes the shapes {text}", hint="name smallest, usual and largest, in this order")


def put_on_dla(release: Release, builder: Any, config: Any, network: Any, options: BuildOptions) -> tuple[str, ...]:
    """Move what it can run to the DLA core of `options`; the names of the layers that stay on the GPU."""
    if options.dla is None:
        return ()
    if options.dla >= builder.num_DLA_cores:
        there = f"{builder.num_DLA_cores} DLA cores" if builder.num_DLA_cores else "no DLA"
        hint = "leave --dla out" if not builder.num_DLA_cores else f"use --dla 0 to {builder.num_DLA_cores - 1}"
        raise UnavailableError(f"there is no DLA core {options.dla}: this device has {there}", hint=hint)
    config.default_device_type = release.trt.DeviceType.DLA
    config.DLA_core = options.dla
    config.set_flag(release.trt.BuilderFlag.GPU_FALLBACK)
    layers = map(network.get_layer, range(network.num_layers))
    left = tuple(layer.name for layer in layers if not config.can_run_on_DLA(layer))
    listed = ", ".join([*left[:SHOWN], *(["..."] if len(left) > SHOWN else [])])
    if left:
        logger.warning("the DLA leaves %d of %d layers to the GPU: %s", len(left), network.num_layers, listed)
    return left


def watch(release: Release, config: Any, log: Log, hold: Hold, progress: Progress) -> None:
    """Report the progress of the build; before 10.0, which has no monitor, only that it runs."""
    base = release.progress_monitor()
    progress("build", 0, None)
    if base is not None:
        config.progress_monitor = monitor_for(base, progress, log, hold)


def shapes_from_options(height: int, width: int, options: BuildOptions) -> tuple[tuple[int, ...], ...]:
    """The three shapes (N, H, W, 3) of a profile; () where one shape is all."""
    return () if options.batch == (1, 1, 1) else tuple((count, height, width, 3) for count in options.batch)
