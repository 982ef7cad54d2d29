"""The boundary F-score: how well a mask's outlines match the true ones, which mIoU hardly shows.

Csurka, Larlus, Perronnin, "What is a good evaluation measure for semantic segmentation?", BMVC 2013. For each class:
precision is the share of predicted boundary pixels that have a true boundary pixel of that class within a distance,
recall the same the other way round, and F = 2 * P * R / (P + R). As for mIoU, P and R are of all boundary pixels of the
data set, not the mean over its images.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError
from edgeseg.metrics.metric import (
    Counts,
    Figures,
    Labels,
    Metric,
    MetricResult,
    check_shapes,
    mean_of_known,
    means_of_known,
    share,
    true_pixels,
)

Bools = NDArray[np.bool_]
B = TypeVar("B", bound="BoundaryCounts")
DIAGONAL_SHARE = 0.0075  # the paper's distance, as a share of the image's diagonal


class BoundaryCounts:
    """What metrics of boundaries have in common: integers by class, and a distance.

    radius: in pixels; `diagonal_share` of each image's diagonal unless given. counts: (rows, num_classes) int64.
    """

    frames: ClassVar[int] = 1
    best: ClassVar[float] = 1.0
    arrays: ClassVar[tuple[str, ...]] = ("pixels", "counts")
    rows: ClassVar[int]
    diagonal_share: ClassVar[float]

    def __init__(
        self, num_classes: int, ignore_index: int = 255, extra: int = 0, *, radius: float | None = None
    ) -> None:
        self.num_classes, self.ignore_index, self.extra, self.radius = num_classes, ignore_index, extra, radius
        self.pixels: Counts = np.zeros(num_classes, np.int64)
        self.counts: Counts = np.zeros((self.rows, num_classes), np.int64)

    def radius_in(self, truth: Labels) -> float:
        """The distance in an image of this size, in pixels."""
        return self.diagonal_share * float(np.hypot(*truth.shape)) if self.radius is None else self.radius

    def merge(self: B, other: B) -> B:
        """A new one with the counts of both."""
        own, its = ((each.num_classes, each.ignore_index, each.radius) for each in (self, other))
        if own != its:
            raise DataError(
                "boundaries of different classes or distances cannot be merged", hint="count both with the same labels"
            )
        merged = type(self)(self.num_classes, self.ignore_index, self.extra, radius=self.radius)
        merged.pixels, merged.counts = self.pixels + other.pixels, self.counts + other.counts
        return merged

    def sums(self) -> Counts:
        """A copy of `counts`."""
        return self.counts.copy()


class BoundaryF(BoundaryCounts):
    """Boundary pixels counted by class.

    radius: the distance in pixels within which boundaries agree; 0.75% of each image's diagonal unless given.
    counts: (4, num_classes) int64: predicted boundary pixels and how many of them match, then the true ones.
    """

    rows: ClassVar[int] = 4
    diagonal_share: ClassVar[float] = DIAGONAL_SHARE

    def update(self, labels: Labels, truth: Labels) -> None:
        """Add one image; see `Metric.update`."""
        check_shapes(labels, truth)
        self.pixels += true_pixels(truth, self.num_classes, self.ignore_index)
        counted = truth != self.ignore_index
        predicted, true = (boundary_pixels(ids, counted) for ids in (labels, truth))
        radius = self.radius_in(truth)
        for label in range(self.num_classes):
            ours, theirs = predicted & (labels == label), true & (truth == label)
            for row, (some, others) in enumerate(((ours, theirs), (theirs, ours))):
                number = int(np.count_nonzero(some))
                matched = int(np.count_nonzero(some & near(others, radius))) if number and others.any() else 0
                self.counts[2 * row : 2 * row + 2, label] += (number, matched)

    def result(self) -> MetricResult:
        """overall: "mean_boundary_f", over the classes that have a boundary; by_class: "boundary_f"."""
        figures = f_scores(self.counts)
        return MetricResult(self.pixels.copy(), {"mean_boundary_f": mean_of_known(figures)}, {"boundary_f": figures})

    @staticmethod
    def main_figure(sums: NDArray[Any]) -> Figures:
        """The mean boundary F; see `Metric.main_figure`."""
        return means_of_known(f_scores(np.moveaxis(sums, -2, 0)))


def boundary_pixels(ids: NDArray[Any], counted: Bools) -> Bools:
    """(H, W): the counted pixels with a counted neighbour, above, below, left or right, of another class."""
    boundary = np.zeros(ids.shape, np.bool_)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = (ids[a] != ids[b]) & counted[a] & counted[b]
        boundary[a] |= differ
        boundary[b] |= differ
    return boundary


def near(boundary: Bools, radius: float) -> Bools:
    """(H, W): the pixels whose Euclidean distance to one of `boundary`, which is not empty, is at most `radius`."""
    distance = cv2.distanceTransform((~boundary).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # squared distances are integers: 0.5 is more than the error of float32
    return np.asarray(distance <= np.sqrt(np.floor(radius * radius) + 0.5))


def f_scores(counts: NDArray[Any]) -> Figures:
    """(..., K) F of `BoundaryF.counts` (4, ..., K): 0 where only mask or truth has a boundary, nan for neither."""
    predicted, predicted_matches, true, true_matches = counts
    precision, recall = share(predicted_matches, predicted), share(true_matches, true)
    scores = np.where(predicted + true > 0, 0.0, np.nan)
    total = precision + recall
    np.divide(2 * precision * recall, total, out=scores, where=total > 0)
    return scores


METRIC: type[Metric] = BoundaryF
