"""The confusion matrix of a data set, and the metrics derived from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError
from edgeseg.jit import jit
from edgeseg.metrics.metric import (
    Counts,
    Figures,
    Labels,
    Metric,
    MetricResult,
    check_ids,
    check_shapes,
    mean_of_known,
    share,
)


class ConfusionMatrix:
    """Pixels counted by true and predicted class, over as many images as are added.

    counts: (num_classes, num_classes + extra) int64, a row for each true class, a column for each predicted one.
    ignore_index: the truth of pixels that are left out; it may lie outside the classes (255, -1) or be one of them.
    extra: number of predicted ids after the classes that the truth never has; they are always wrong.
    """

    frames: ClassVar[int] = 1
    best: ClassVar[float] = 1.0
    arrays: ClassVar[tuple[str, ...]] = ("counts",)

    def __init__(self, num_classes: int, ignore_index: int = 255, extra: int = 0) -> None:
        self.num_classes, self.ignore_index, self.extra = num_classes, ignore_index, extra
        self.counts: Counts = np.zeros((num_classes, num_classes + extra), np.int64)

    def update(self, labels: Labels, truth: Labels) -> None:
        """Add one image: predicted `labels` and their `truth`, of one shape. On an error nothing is added."""
        check_shapes(labels, truth)
        count = count_pairs if labels.dtype == truth.dtype == np.uint8 else count_pairs_numpy
        counts = count(labels, truth, self.num_classes, self.ignore_index, self.extra)
        if counts[: self.num_classes + 1, :-1].sum() != labels.size:
            self._refuse(labels, truth)
        self.counts += counts[: self.num_classes, :-1]

    def merge(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """A new matrix: the counts of both."""
        merged = ConfusionMatrix(self.num_classes, self.ignore_index, self.extra)
        merged += self
        merged += other
        return merged

    def __iadd__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        own, its = ((each.num_classes, each.ignore_index, each.extra) for each in (self, other))
        if own != its:
            raise DataError(
                f"a confusion matrix of {self.num_classes} classes (ignoring {self.ignore_index}) and one of "
                f"{other.num_classes} (ignoring {other.ignore_index}) cannot be merged",
                hint="count both with the same labels",
            )
        self.counts += other.counts
        return self

    def iou(self) -> Figures:
        """Intersection over union for each class; nan for a class that is neither in truth nor prediction."""
        return share(self._hits(), self._truths() + self._predictions() - self._hits())

    def dice(self) -> Figures:
        """2 * intersection over the sum of both areas (the F1 score) for each class; nan as in `iou`."""
        return share(2 * self._hits(), self._truths() + self._predictions())

    def miou(self) -> float:
        """The data-set mIoU: the mean of `iou` over the classes that occur in truth or prediction; nan with none."""
        return mean_of_known(self.iou())

    def miou_of_true_classes(self) -> float:
        """The mean of `iou` over the classes that occur in the truth, without those that are only predicted."""
        return mean_of_known(np.where(self._truths() > 0, self.iou(), np.nan))

    def pixel_accuracy(self) -> float:
        """The share of counted pixels that are right; nan without pixels."""
        return float(share(self._hits().sum(keepdims=True), self.counts.sum().reshape(1))[0])

    def mean_pixel_accuracy(self) -> float:
        """The mean, over the classes in the truth, of the share of their pixels that are right."""
        return mean_of_known(share(self._hits(), self._truths()))

    def result(self) -> MetricResult:
        """All metrics; overall begins with "miou", by_class has "iou" and "dice"."""
        overall = {
            "miou": self.miou(),
            "miou_of_true_classes": self.miou_of_true_classes(),
            "pixel_accuracy": self.pixel_accuracy(),
            "mean_pixel_accuracy": self.mean_pixel_accuracy(),
        }
        return MetricResult(self._truths(), overall, {"iou": self.iou(), "dice": self.dice()})

    def sums(self) -> Counts:
        """(2, K): the right pixels of each class, and those of its union."""
        sums: Counts = np.stack(hits_and_unions(self.counts))
        return sums

    @staticmethod
    def main_figure(sums: NDArray[Any]) -> Figures:
        """The mIoU; see `Metric.main_figure`."""
        return mean_ious(sums[..., 0, :], sums[..., 1, :])

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain data of all metrics, None where undefined. names: of the classes."""
        return self.result().to_dict(names)

    def _hits(self) -> Counts:
        hits: Counts = np.diagonal(self.counts)
        return hits

    def _truths(self) -> Counts:
        truths: Counts = self.counts.sum(axis=1)
        return truths

    def _predictions(self) -> Counts:
        predictions: Counts = self.counts[:, : self.num_classes].sum(axis=0)
        return predictions

    def _refuse(self, labels: Labels, truth: Labels) -> None:
        """Raise the error that names the ids out of range, the truth's before the prediction's."""
        counted = truth != self.ignore_index
        check_ids("truth", truth[counted], self.num_classes, self.ignore_index)
        check_ids("predicted", labels[counted], self.num_classes + self.extra, self.ignore_index)


def hits_and_unions(counts: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of confusion matrices (..., K, K + extra): (..., K) the right pixels of each class, and those of its union."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return hits, counts[..., : counts.shape[-2]].sum(-2) + counts.sum(-1) - hits


def mean_ious(hits: NDArray[Any], unions: NDArray[Any]) -> Figures:
    """The mIoU (...) of `hits_and_unions`, over the classes that occur; nan where none does."""
    shares = np.divide(hits, unions, out=np.zeros(unions.shape), where=unions > 0)
    occurring = (unions > 0).sum(-1)
    total = np.asarray(shares.sum(-1))
    means: Figures = np.divide(total, occurring, out=np.full(total.shape, np.nan), where=occurring > 0)
    return means


def count_pairs(labels: Labels, truth: Labels, num_classes: int, ignore: int, extra: int = 0) -> Counts:
    """Count pairs of uint8 ids into (K + 2, K + extra + 1): row K for ignored pixels, the last ones for bad ids.

    Ignored pixels are all in column 0, whatever is predicted there.
    """
    ids, end = np.arange(256), num_classes + extra
    rows = np.where(ids == ignore, num_classes, np.where(ids < num_classes, ids, num_classes + 1))
    counts = np.zeros((4, num_classes + 2, end + 1), np.int64)
    _count(_flat(labels), _flat(truth), rows, np.minimum(ids, end), counts)
    total: Counts = counts.sum(axis=0)
    total[num_classes] = [total[num_classes].sum(), *([0] * end)]
    return total


def count_pairs_numpy(labels: Labels, truth: Labels, num_classes: int, ignore: int, extra: int = 0) -> Counts:
    """The same table by numpy, for any integer type: the reference."""
    labels, truth, end = labels.astype(np.int64), truth.astype(np.int64), num_classes + extra
    valid = (truth >= 0) & (truth < num_classes)
    rows = np.where(truth == ignore, num_classes, np.where(valid, truth, num_classes + 1))
    columns = np.where((labels >= 0) & (labels < end), labels, end)
    columns[rows == num_classes] = 0
    shape = (num_classes + 2, end + 1)
    return np.bincount((rows * shape[1] + columns).ravel(), minlength=shape[0] * shape[1]).reshape(shape)


def _flat(array: Labels) -> NDArray[np.uint8]:
    """All pixels as one read-only row, aligned to uint64, so that one compilation serves all callers."""
    flat: NDArray[np.uint8] = np.ascontiguousarray(array, np.uint8).reshape(-1)
    flat = flat.view() if flat.ctypes.data % 8 == 0 else flat.copy()
    flat.flags.writeable = False
    return flat


@jit
def _count(
    labels: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> None:
    """Count eight pixels at once where they are equal, otherwise one by one.

    Neighbouring pixels mostly fall into the same bin; alternating between four tables avoids waiting for its last
    increment.
    """
    whole = truth.size // 8 * 8
    label_words, truth_words = labels[:whole].view(np.uint64), truth[:whole].view(np.uint64)
    ones = np.uint64(0x0101010101010101)
    for i in range(truth_words.size):
        first, label, true = 8 * i, labels[8 * i], truth[8 * i]
        if truth_words[i] == np.uint64(true) * ones and label_words[i] == np.uint64(label) * ones:
            counts[i & 3, rows[true], columns[label]] += 8
        else:
            for j in range(first, first + 8, 4):
                counts[0, rows[truth[j]], columns[labels[j]]] += 1
                counts[1, rows[truth[j + 1]], columns[labels[j + 1]]] += 1
                counts[2, rows[truth[j + 2]], columns[labels[j + 2]]] += 1
                counts[3, rows[truth[j + 3]], columns[labels[j + 3]]] += 1
    for i in range(whole, truth.size):
        counts[0, rows[truth[i]], columns[labels[i]]] += 1


METRIC: type[Metric] = ConfusionMatrix
