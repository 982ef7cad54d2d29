"""The confusion matrix of a data set, and the figures drawn from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, SizeError
from edgeseg.jit import jit

Counts = NDArray[np.int64]
Labels = NDArray[np.integer[Any]]
Figures = NDArray[np.float64]


class ConfusionMatrix:
    """Pixels counted by true and predicted class, over as many images as are added.

    counts: (num_classes, num_classes) int64, a row for each true class, a column for each predicted one.
    ignore_index: the truth of pixels that are left out; it may lie outside the classes (255, -1) or be one of them.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts: Counts = np.zeros((num_classes, num_classes), np.int64)

    def update(self, labels: Labels, truth: Labels) -> None:
        """Add one image: predicted `labels` and their `truth`, of one shape. On an error nothing is added."""
        if labels.shape != truth.shape:
            raise SizeError(
                f"labels of shape {labels.shape} for a truth of shape {truth.shape}",
                hint="bring the labels to the size of the truth first",
            )
        count = count_pairs if labels.dtype == truth.dtype == np.uint8 else count_pairs_numpy
        counts = count(labels, truth, self.num_classes, self.ignore_index)
        if counts[: self.num_classes + 1, : self.num_classes].sum() != labels.size:
            self._refuse(labels, truth)
        self.counts += counts[: self.num_classes, : self.num_classes]

    def merge(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """A new matrix: the counts of both."""
        merged = ConfusionMatrix(self.num_classes, self.ignore_index)
        merged += self
        merged += other
        return merged

    def __iadd__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise DataError(
                f"a confusion matrix of {self.num_classes} classes (ignoring {self.ignore_index}) and one of "
                f"{other.num_classes} (ignoring {other.ignore_index}) cannot be added",
                hint="count both with the same labels",
            )
        self.counts += other.counts
        return self

    def iou(self) -> Figures:
        """Intersection over union for each class; nan for a class that is neither in truth nor prediction."""
        return _share(self._hits(), self._truths() + self._predictions() - self._hits())

    def dice(self) -> Figures:
        """2 * intersection over the sum of both areas (the F1 score) for each class; nan as in `iou`."""
        return _share(2 * self._hits(), self._truths() + self._predictions())

    def miou(self) -> float:
        """The data-set mIoU: the mean of `iou` over the classes that occur in truth or prediction; nan with none."""
        return _mean(self.iou())

    def pixel_accuracy(self) -> float:
        """The share of counted pixels that are right; nan with no pixels."""
        return float(_share(self._hits().sum(keepdims=True), self.counts.sum().reshape(1))[0])

    def mean_pixel_accuracy(self) -> float:
        """The mean over the classes that occur in the truth of the share of their pixels that are right."""
        return _mean(_share(self._hits(), self._truths()))

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """All figures, ready for JSON: a class without figures has None, `names` are those of the classes."""
        if len(names) != self.num_classes:
            raise DataError(f"{len(names)} names for {self.num_classes} classes", hint="give one name for each class")
        return {
            "miou": _plain(self.miou()),
            "pixel_accuracy": _plain(self.pixel_accuracy()),
            "mean_pixel_accuracy": _plain(self.mean_pixel_accuracy()),
            "pixels": int(self.counts.sum()),
            "iou": dict(zip(names, map(_plain, self.iou()), strict=True)),
            "dice": dict(zip(names, map(_plain, self.dice()), strict=True)),
        }

    def _hits(self) -> Counts:
        hits: Counts = np.diagonal(self.counts)
        return hits

    def _truths(self) -> Counts:
        truths: Counts = self.counts.sum(axis=1)
        return truths

    def _predictions(self) -> Counts:
        predictions: Counts = self.counts.sum(axis=0)
        return predictions

    def _refuse(self, labels: Labels, truth: Labels) -> None:
        """Raise the error that names the ids out of range, the truth's before the prediction's."""
        counted = truth != self.ignore_index
        for kind, ids in (("truth", truth[counted]), ("predicted", labels[counted])):
            wrong = ids[(ids < 0) | (ids >= self.num_classes)]
            if wrong.size:
                named = ", ".join(str(i) for i in np.unique(wrong)[:8])
                raise DataError(
                    f"{wrong.size} {kind} pixels have ids outside 0 to {self.num_classes - 1}: {named}",
                    hint=f"map them to classes, or to the ignored id {self.ignore_index}, "
                    "or check the number of classes",
                )


def count_pairs(labels: Labels, truth: Labels, num_classes: int, ignore: int) -> Counts:
    """Count pairs of uint8 ids into (K + 2, K + 1): row K for ignored pixels, row K + 1 and column K for bad ids.

    Ignored pixels are all in column 0, whatever is predicted there.
    """
    ids = np.arange(256)
    rows = np.where(ids == ignore, num_classes, np.where(ids < num_classes, ids, num_classes + 1))
    columns = np.minimum(ids, num_classes)
    counts = np.zeros((4, num_classes + 2, num_classes + 1), np.int64)
    _count(_flat(labels), _flat(truth), rows, columns, counts)
    total: Counts = counts.sum(axis=0)
    total[num_classes] = [total[num_classes].sum(), *([0] * num_classes)]
    return total


def count_pairs_numpy(labels: Labels, truth: Labels, num_classes: int, ignore: int) -> Counts:
    """The same table without compiled code, for any integer type: the reference."""
    labels, truth = labels.astype(np.int64), truth.astype(np.int64)
    known = (truth >= 0) & (truth < num_classes)
    rows = np.where(truth == ignore, num_classes, np.where(known, truth, num_classes + 1))
    columns = np.where((labels >= 0) & (labels < num_classes), labels, num_classes)
    columns[rows == num_classes] = 0
    shape = (num_classes + 2, num_classes + 1)
    return np.bincount((rows * shape[1] + columns).ravel(), minlength=shape[0] * shape[1]).reshape(shape)


def _flat(array: Labels) -> NDArray[np.uint8]:
    """All pixels in one line, read-only and on an address of uint64, so that one compilation serves all callers."""
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
    """Count eight pixels at once where they are alike, else one by one.

    Neighbouring pixels mostly fall into one bin; four tables in turn spare the wait for its last increment.
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


def _share(part: Counts, whole: Counts) -> Figures:
    shares = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _mean(figures: Figures) -> float:
    """The mean of the figures that are not nan; nan where there is none."""
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if known.size else float("nan")


def _plain(figure: float) -> float | None:
    return None if np.isnan(figure) else float(figure)
