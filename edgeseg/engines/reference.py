"""An ONNX computed as it is written, node by node: ONNX Runtime with every optimisation off."""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from edgeseg.engines import open_engine
from edgeseg.engines.backend import Array
from edgeseg.errors import UnavailableError
from edgeseg.sessions import open_session


def plain_is_available() -> bool:
    """Whether ONNX Runtime is here. Nothing else computes an ONNX as it is written and shares no code with engines."""
    try:
        open_engine("onnxruntime").available()
    except UnavailableError:
        return False
    return True


def plain_outputs(model: ir.Model, frames: Array) -> Iterator[dict[str, Array]]:
    """Output name -> array, for each of `frames` (N, H, W, 3) uint8."""
    session = open_session(ir.to_proto(model).SerializeToString(), "none")
    feed, names = session.get_inputs()[0].name, [output.name for output in session.get_outputs()]
    for frame in frames:
        yield dict(zip(names, session.run(names, {feed: frame[None]})))
