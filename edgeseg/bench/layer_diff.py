"""Two engines layer by layer: how far their tensors differ, and what was built differently."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeseg.artifact import Artifact, LoadedModel, load_onnx
from edgeseg.errors import EdgeSegError, UnavailableError
from edgeseg.inspection.difference import Difference, difference
from edgeseg.inspection.source import inspect_artifact


@dataclass(frozen=True)
class LayerDiff:
    """signal_to_noise: tensor -> dB of B's difference from A, in the order of the graph; infinite where there is none.

    It is of the ONNX graphs of both, computed node by node; empty, with `reason`, where one has none or they share
    no tensor. built: the layers of both engines.
    """

    signal_to_noise: dict[str, float]
    built: Difference
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data; null for an infinite ratio."""
        ratios = {name: db if np.isfinite(db) else None for name, db in self.signal_to_noise.items()}
        return {"signal_to_noise_db": ratios, "reason": self.reason, "built": self.built.to_dict()}


def layer_diff(a: Artifact, b: Artifact, rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> LayerDiff:
    """Compare both on one image (H, W, 3) of their input's size. UnavailableError without Polygraphy."""
    if importlib.util.find_spec("polygraphy") is None:
        message = "the comparison of layers needs Polygraphy"
        raise UnavailableError(message, hint='pip install "edgeseg[debug]"')
    from edgeseg.engines.quantization_error import signal_to_noise

    built = difference(inspect_artifact(a).rows, inspect_artifact(b).rows)
    graphs = _graph_of(a), _graph_of(b)
    if graphs[0] is None or graphs[1] is None:
        return LayerDiff({}, built, f"{(a if graphs[0] is None else b).path.name} holds no ONNX graph")
    ratios = dict(signal_to_noise(graphs[1], graphs[0], rgb[None]))
    return LayerDiff(ratios, built, "" if ratios else "the graphs have no tensor in common")


def _graph_of(artifact: Artifact) -> LoadedModel | None:
    try:
        return load_onnx(artifact.path)
    except EdgeSegError:
        return None
