"""edgeseg: convert a segmentation net to an INT8 engine, stream video through it, measure it.

    with edgeseg.open("engines/bisenetv2-street.openvino.int8.onnx") as segmenter:
        mask = segmenter.segment(rgb)

Importing this package loads no framework; each public name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact as Artifact
    from edgeseg.conversion import convert as convert
    from edgeseg.errors import EdgeSegError as EdgeSegError
    from edgeseg.metrics.confusion import ConfusionMatrix as ConfusionMatrix
    from edgeseg.opening import open_model as open
    from edgeseg.predictions.prediction import Prediction as Prediction
    from edgeseg.predictions.semantic import SemanticMask as SemanticMask
    from edgeseg.segmenter import Segmenter as Segmenter
    from edgeseg.spec import ModelSpec as ModelSpec
    from edgeseg.spec import Precision as Precision
    from edgeseg.streaming import stream as stream
    from edgeseg.video.frame import Frame as Frame
    from edgeseg.video.result import Result as Result
    from edgeseg.video.sink import open_sink as open_sink
    from edgeseg.video.source import open_source as open_source

_PUBLIC = {
    "Artifact": ("edgeseg.artifact", "Artifact"),
    "ConfusionMatrix": ("edgeseg.metrics.confusion", "ConfusionMatrix"),
    "EdgeSegError": ("edgeseg.errors", "EdgeSegError"),
    "Frame": ("edgeseg.video.frame", "Frame"),
    "ModelSpec": ("edgeseg.spec", "ModelSpec"),
    "Prediction": ("edgeseg.predictions.prediction", "Prediction"),
    "Precision": ("edgeseg.spec", "Precision"),
    "Result": ("edgeseg.video.result", "Result"),
    "Segmenter": ("edgeseg.segmenter", "Segmenter"),
    "SemanticMask": ("edgeseg.predictions.semantic", "SemanticMask"),
    "convert": ("edgeseg.conversion", "convert"),
    "open": ("edgeseg.opening", "open_model"),
    "open_sink": ("edgeseg.video.sink", "open_sink"),
    "open_source": ("edgeseg.video.source", "open_source"),
    "stream": ("edgeseg.streaming", "stream"),
}

_RENAMED = {"Mask": "SemanticMask"}

__all__ = [
    "Artifact",
    "ConfusionMatrix",
    "EdgeSegError",
    "Frame",
    "ModelSpec",
    "Precision",
    "Prediction",
    "Result",
    "Segmenter",
    "SemanticMask",
    "convert",
    "open",
    "open_sink",
    "open_source",
    "stream",
]


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        raise AttributeError(f"edgeseg.{name} is edgeseg.{_RENAMED[name]} now")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'edgeseg' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
