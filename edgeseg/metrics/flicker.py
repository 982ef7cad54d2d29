"""Flicker: labels that change from one frame of a video to the next although the scene does not.

A unit is a pair of neighbouring frames. Counted are the pixels whose truth is the same class in both frames: there the
scene did not change what is to be said, and each change of the label is flicker, whether it becomes right or wrong. A
label that is wrong in both frames is an error, but no flicker. Where the truth changes, as at the edge of a car that
moves, or is unknown, nothing counts. `edgeseg.metrics.motion` has the flicker of videos without truth.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, SizeError
from edgeseg.metrics.metric import Counts, Figures, Labels, Metric, MetricResult, check_shapes, share, true_pixels


class Flicker:
    """Changes of the label, counted by true class, over pairs of frames.

    counts: (2, num_classes) int64: pixels of the class in both frames, and those of them whose label changes.
    """

    frames: ClassVar[int] = 2
    best: ClassVar[float] = 0.0
    arrays: ClassVar[tuple[str, ...]] = ("pixels", "counts")

    def __init__(self, num_classes: int, ignore_index: int = 255, extra: int = 0) -> None:
        self.num_classes, self.ignore_index, self.extra = num_classes, ignore_index, extra
        self.pixels: Counts = np.zeros(num_classes, np.int64)
        self.counts: Counts = np.zeros((2, num_classes), np.int64)

    def update(self, labels: Labels, truth: Labels) -> None:
        """Add a pair of neighbouring frames: labels and truth (2, H, W), the earlier one first; see `Metric.update`."""
        check_shapes(labels, truth)
        if labels.ndim != 3 or len(labels) != 2:
            message = f"flicker is of pairs of frames (2, H, W), not of {labels.shape}"
            raise SizeError(message, hint="stack the labels of two neighbouring frames")
        self.pixels += true_pixels(truth, self.num_classes, self.ignore_index)
        known = (truth != self.ignore_index).all(0)
        changed = labels[0] != labels[1]
        still = known & (truth[0] == truth[1])
        for row, pixels in enumerate((still, still & changed)):
            self.counts[row] += np.bincount(truth[1][pixels].astype(np.int64), minlength=self.num_classes)

    def merge(self, other: Flicker) -> Flicker:
        """A new one with the counts of both."""
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise DataError("flicker of different classes cannot be merged", hint="count both with the same labels")
        merged = Flicker(self.num_classes, self.ignore_index, self.extra)
        merged.pixels, merged.counts = self.pixels + other.pixels, self.counts + other.counts
        return merged

    def result(self) -> MetricResult:
        """overall: "flicker"; by_class: "class_flicker", by true class.

        pixels are those of all pairs: a frame between two others counts twice.
        """
        still, changed = self.counts
        overall = {"flicker": float(self.main_figure(self.sums()))}
        return MetricResult(self.pixels.copy(), overall, {"class_flicker": share(changed, still)})

    def sums(self) -> Counts:
        """(2, 1): the counts of all classes."""
        sums: Counts = self.counts.sum(1, keepdims=True)
        return sums

    @staticmethod
    def main_figure(sums: NDArray[Any]) -> Figures:
        """The flicker; see `Metric.main_figure`."""
        return share(sums[..., 1, 0], sums[..., 0, 0])


METRIC: type[Metric] = Flicker
