"""The share of pixels with equal labels, of two masks and over a data set, and its required minimum."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, SizeError
from edgeseg.metrics.metric import Counts, Figures, Labels, Metric, MetricResult, check_shapes, share, true_pixels


def label_agreement(a: NDArray[np.integer[Any]], b: NDArray[np.integer[Any]]) -> float:
    """The share of pixels, 0 to 1, that have the same label in `a` and `b`."""
    if a.shape != b.shape or a.size == 0:
        raise SizeError(
            f"masks of shape {a.shape} and {b.shape} cannot be compared",
            hint="resize both to one size with labels_nearest",
        )
    return float(np.count_nonzero(a == b) / a.size)


def labels_from_output(output: NDArray[Any]) -> NDArray[np.integer[Any]]:
    """Labels (N, h, w) of logits (N, C, h, w); a mask is returned unchanged."""
    return output.argmax(1) if output.ndim == 4 else output


class LabelAgreement:
    """The share of pixels whose label equals the truth, which may be another model's labels.

    pixels: (K,) int64 by true class. equal: (1,) int64, those of them with the label of the truth.
    """

    frames: ClassVar[int] = 1
    best: ClassVar[float] = 1.0
    arrays: ClassVar[tuple[str, ...]] = ("pixels", "equal")

    def __init__(self, num_classes: int, ignore_index: int = 255, extra: int = 0) -> None:
        self.num_classes, self.ignore_index, self.extra = num_classes, ignore_index, extra
        self.pixels: Counts = np.zeros(num_classes, np.int64)
        self.equal: Counts = np.zeros(1, np.int64)

    def update(self, labels: Labels, truth: Labels) -> None:
        """Add one image; see `Metric.update`."""
        check_shapes(labels, truth)
        self.pixels += true_pixels(truth, self.num_classes, self.ignore_index)
        self.equal += int(np.count_nonzero((labels == truth) & (truth != self.ignore_index)))

    def merge(self, other: LabelAgreement) -> LabelAgreement:
        """A new one with the counts of both."""
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise DataError(
                "agreements over different classes cannot be merged", hint="count both with the same labels"
            )
        merged = LabelAgreement(self.num_classes, self.ignore_index, self.extra)
        merged.pixels = self.pixels + other.pixels
        merged.equal = self.equal + other.equal
        return merged

    def result(self) -> MetricResult:
        """overall: "agreement"."""
        overall = {"agreement": float(self.main_figure(self.sums()))}
        return MetricResult(self.pixels.copy(), overall, {})

    def sums(self) -> Counts:
        """(2, 1): equal pixels and all."""
        sums: Counts = np.stack([self.equal, self.pixels.sum(keepdims=True)])
        return sums

    @staticmethod
    def main_figure(sums: NDArray[Any]) -> Figures:
        """The agreement; see `Metric.main_figure`."""
        return share(sums[..., 0, 0], sums[..., 1, 0])


METRIC: type[Metric] = LabelAgreement
