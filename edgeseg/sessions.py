"""The one maker of ONNX Runtime sessions: checks, calibration and the engine differ in a few options only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from edgeseg.errors import UnavailableError

CPU = "CPUExecutionProvider"
LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
Level = Literal["none", "basic", "extended", "all"]
ERROR, FATAL = 3, 4  # severities of its log


def import_onnxruntime() -> Any:
    """The runtime, without the telemetry of its Windows builds."""
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    return onnxruntime


def open_session(
    model: bytes | Path,
    level: Level = "all",
    *,
    threads: int | None = None,
    optimised: Path | None = None,
    without: Sequence[str] = (),
    frees_early: bool = False,
    narrow_weights: bool = False,
    provider: str = CPU,
    options: Mapping[str, str] | None = None,
) -> Any:
    """A session of an ONNX, as bytes or at a path; ONNX Runtime's own exception where it does not take it.

    level: how far it optimises the graph; "none" runs the nodes as they are written. optimised: where to write the
    graph that will run. without: optimisers that are left out. frees_early: run each node as soon as it can, so that
    its inputs go; in the default order all tensors that are outputs live until the end. narrow_weights: int8 weights
    have 7 bits, so that the fastest kernels cannot saturate. provider, options: what it
    runs on beside the CPU, which takes what that cannot; UnavailableError where ONNX Runtime leaves all to the CPU.
    """
    runtime = import_onnxruntime()
    session_options = runtime.SessionOptions()
    session_options.graph_optimization_level = getattr(runtime.GraphOptimizationLevel, LEVELS[level])
    session_options.intra_op_num_threads = threads or 0
    # Threads that spin while they wait cost the neighbours (decoder, encoder) a third of the CPU, and win 3%.
    session_options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Without VNNI, the fastest kernels add pairs of products in 16 bits, which saturate: others are slower by half.
    session_options.add_session_config_entry("session.x64quantprecision", "0" if narrow_weights else "1")
    # Whatever fails is raised too, save why a provider could not start.
    session_options.log_severity_level = FATAL if provider == CPU else ERROR
    if optimised is not None:
        session_options.optimized_model_filepath = str(optimised)
    if frees_early:
        session_options.execution_order = runtime.ExecutionOrder.PRIORITY_BASED
    if frees_early or provider == "DmlExecutionProvider":  # which takes no memory patterns
        session_options.enable_mem_pattern = False
    data = model if isinstance(model, bytes) else str(model)
    providers: list[Any] = [CPU] if provider == CPU else [(provider, dict(options or {})), CPU]
    left_out = {"disabled_optimizers": list(without)} if without else {}
    session = runtime.InferenceSession(data, session_options, providers=providers, **left_out)
    if session.get_providers()[0] != provider:
        raise UnavailableError(
            f"ONNX Runtime cannot start its {provider}, and would run on the CPU without a word",
            hint="the lines above say why: often a library of the device, such as CUDA or cuDNN, is missing",
            code="ES-DEVICE-MISSING",
        )
    if provider != CPU:
        session.disable_fallback()  # at run time too it would change to the CPU
    return session
