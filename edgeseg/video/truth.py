"""Sources with ground truth, and the sink that compares predictions with it."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.predictions.semantic import semantic_mask
from edgeseg.spec import LabelSet
from edgeseg.video.result import Result
from edgeseg.video.sink import FrameSink, Wants
from edgeseg.video.source import FrameSource


@runtime_checkable
class GroundTruthSource(Protocol):
    """A source with labels for its frames: ids of `classes`."""

    classes: LabelSet

    def truth(self, index: int) -> NDArray[np.uint8]:
        """The labels of the frame with that index, (H, W) uint8."""


class TruthSink(FrameSink):
    """Counts the labels of each mask by the true labels, in `confusion`."""

    wants: Wants = "prediction"
    is_output: ClassVar[bool] = False

    def __init__(self, source: GroundTruthSource, labels: LabelSet) -> None:
        super().__init__("ground truth")
        self.confusion = ConfusionMatrix(len(labels), labels.ignore)
        self._source = source

    def _write(self, result: Result) -> bool:
        self.confusion.update(semantic_mask(result.prediction).labels, self._source.truth(result.frame.index))
        return True


def truth_sinks(source: FrameSource, labels: LabelSet) -> list[TruthSink]:
    """A sink that evaluates the masks, if `source` has ground truth in the model's classes."""
    if isinstance(source, GroundTruthSource) and source.classes.names == labels.names:
        return [TruthSink(source, labels)]
    return []
