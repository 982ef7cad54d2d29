"""edgeseg: convert a segmentation model to an INT8 engine, stream video through it, measure it.

    with edgeseg.open("bisenetv2-camvid") as segmenter:
        mask = segmenter.segment("photo.jpg")

Importing this package loads no framework: each public name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from edgeseg.artifact import Artifact as Artifact
    from edgeseg.artifact import LoadedModel as LoadedModel
    from edgeseg.autotune.autotune import Decision as Decision
    from edgeseg.autotune.budget import Budget as Budget
    from edgeseg.autotune.choice import Auto as Auto
    from edgeseg.bench.benchmark import BenchOptions as BenchOptions
    from edgeseg.bench.benchmark import benchmark as benchmark
    from edgeseg.bench.record import BenchRecord as BenchRecord
    from edgeseg.capture.probe import Probe as Probe
    from edgeseg.capture.probe import probe as probe
    from edgeseg.capture.source import LiveSource as LiveSource
    from edgeseg.capture.state import StreamEvent as StreamEvent
    from edgeseg.capture.state import StreamState as StreamState
    from edgeseg.conversion import Conversion as Conversion
    from edgeseg.conversion import convert as convert
    from edgeseg.datasets import open_dataset as open_dataset
    from edgeseg.datasets.dataset import Dataset as Dataset
    from edgeseg.engines.options import BuildOptions as BuildOptions
    from edgeseg.engines.options import RunOptions as RunOptions
    from edgeseg.errors import AgreementError as AgreementError
    from edgeseg.errors import DataError as DataError
    from edgeseg.errors import EdgeSegError as EdgeSegError
    from edgeseg.errors import FileProblem as FileProblem
    from edgeseg.errors import FormatError as FormatError
    from edgeseg.errors import MismatchError as MismatchError
    from edgeseg.errors import SizeError as SizeError
    from edgeseg.errors import UnavailableError as UnavailableError
    from edgeseg.errors import UnknownNameError as UnknownNameError
    from edgeseg.evaluation import Evaluation as Evaluation
    from edgeseg.evaluation import evaluate as evaluate
    from edgeseg.export.statistics import Statistics as Statistics
    from edgeseg.live.runner import LiveReport as LiveReport
    from edgeseg.live.runner import LiveRunner as LiveRunner
    from edgeseg.live.status import StreamStatus as StreamStatus
    from edgeseg.live.stream import StreamConfig as StreamConfig
    from edgeseg.measure.load import Load as Load
    from edgeseg.measure.recorder import Summary as Summary
    from edgeseg.metrics.confusion import ConfusionMatrix as ConfusionMatrix
    from edgeseg.opening import open_model as open  # noqa: F401 - __all__ is not a literal
    from edgeseg.predictions.crf import DenseCrf as DenseCrf
    from edgeseg.predictions.prediction import Prediction as Prediction
    from edgeseg.predictions.semantic import SemanticMask as SemanticMask
    from edgeseg.segmenter import PredictionFuture as PredictionFuture
    from edgeseg.segmenter import Segmenter as Segmenter
    from edgeseg.spec import InputSpec as InputSpec
    from edgeseg.spec import LabelSet as LabelSet
    from edgeseg.spec import ModelSpec as ModelSpec
    from edgeseg.spec import Output as Output
    from edgeseg.spec import Precision as Precision
    from edgeseg.spec import Task as Task
    from edgeseg.spec import Tiles as Tiles
    from edgeseg.streaming import StreamReport as StreamReport
    from edgeseg.streaming import results as results
    from edgeseg.streaming import stream as stream
    from edgeseg.video.frame import Frame as Frame
    from edgeseg.video.result import Result as Result
    from edgeseg.video.sink import FrameSink as FrameSink
    from edgeseg.video.sink import open_sink as open_sink
    from edgeseg.video.source import FrameSource as FrameSource
    from edgeseg.video.source import Loss as Loss
    from edgeseg.video.source import SourceInfo as SourceInfo
    from edgeseg.video.source import open_source as open_source

# module -> the public names in it; `open` is `open_model` there.
_MODULES = {
    "edgeseg.artifact": ("Artifact", "LoadedModel"),
    "edgeseg.autotune.autotune": ("Decision",),
    "edgeseg.autotune.budget": ("Budget",),
    "edgeseg.autotune.choice": ("Auto",),
    "edgeseg.bench.benchmark": ("BenchOptions", "benchmark"),
    "edgeseg.bench.record": ("BenchRecord",),
    "edgeseg.capture.probe": ("Probe", "probe"),
    "edgeseg.capture.source": ("LiveSource",),
    "edgeseg.capture.state": ("StreamEvent", "StreamState"),
    "edgeseg.conversion": ("Conversion", "convert"),
    "edgeseg.datasets": ("open_dataset",),
    "edgeseg.datasets.dataset": ("Dataset",),
    "edgeseg.engines.options": ("BuildOptions", "RunOptions"),
    "edgeseg.errors": (
        "AgreementError",
        "DataError",
        "EdgeSegError",
        "FileProblem",
        "FormatError",
        "MismatchError",
        "SizeError",
        "UnavailableError",
        "UnknownNameError",
    ),
    "edgeseg.evaluation": ("Evaluation", "evaluate"),
    "edgeseg.export.statistics": ("Statistics",),
    "edgeseg.live.runner": ("LiveReport", "LiveRunner"),
    "edgeseg.live.status": ("StreamStatus",),
    "edgeseg.live.stream": ("StreamConfig",),
    "edgeseg.measure.load": ("Load",),
    "edgeseg.measure.recorder": ("Summary",),
    "edgeseg.metrics.confusion": ("ConfusionMatrix",),
    "edgeseg.opening": ("open",),
    "edgeseg.predictions.crf": ("DenseCrf",),
    "edgeseg.predictions.prediction": ("Prediction",),
    "edgeseg.predictions.semantic": ("SemanticMask",),
    "edgeseg.segmenter": ("PredictionFuture", "Segmenter"),
    "edgeseg.spec": ("InputSpec", "LabelSet", "ModelSpec", "Output", "Precision", "Task", "Tiles"),
    "edgeseg.streaming": ("StreamReport", "results", "stream"),
    "edgeseg.video.frame": ("Frame",),
    "edgeseg.video.result": ("Result",),
    "edgeseg.video.sink": ("FrameSink", "open_sink"),
    "edgeseg.video.source": ("FrameSource", "Loss", "SourceInfo", "open_source"),
}
_PUBLIC = {
    name: (module, "open_model" if name == "open" else name) for module, names in _MODULES.items() for name in names
}
_RENAMED = {"Mask": "SemanticMask"}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name in _RENAMED:
        raise AttributeError(f"edgeseg.{name} is now edgeseg.{_RENAMED[name]}")
    if name not in _PUBLIC:
        raise AttributeError(f"module 'edgeseg' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
