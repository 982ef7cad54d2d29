"""An ONNX computed as it is written, node by node: ONNX Runtime with every optimisation off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx_ir as ir

from edgeseg.engines import open_engine
from edgeseg.engines.backend import Array
from edgeseg.engines.onnxruntime import ERRORS_ONLY, import_onnxruntime
from edgeseg.errors import UnavailableError


def plain_is_available() -> bool:
    """Whether ONNX Runtime is here. Nothing else computes an ONNX as it is written and shares no code with engines."""
    try:
        open_engine("onnxruntime").available()
    except UnavailableError:
        return False
    return True


def plain_outputs(model: ir.Model, frames: Array) -> Iterator[dict[str, Array]]:
    """Output name -> array, for each of `frames` (N, H, W, 3) uint8."""
    session = plain_session(ir.to_proto(model).SerializeToString())
    feed, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
    for frame in frames:
        yield dict(zip(names, session.run(names, {feed: frame[None]})))


def plain_session(data: bytes) -> Any:
    """A session for the CPU that runs the nodes of the ONNX `data` one after another."""
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = ERRORS_ONLY
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return runtime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
