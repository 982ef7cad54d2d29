"""What an engine's masks are worth: mIoU over labelled pictures, and the labels it shares with the float engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.autotune.estimate import Estimate, Floats, bootstrap, mean_estimate
from edgeseg.datasets.dataset import Dataset
from edgeseg.datasets.matching import ClassMatch
from edgeseg.metrics.agreement import label_agreement
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import Segmenter

KEPT_BYTES = 512 << 20  # of decoded pictures: each candidate looks at all of them
Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """One picture to judge on, decoded on demand. labels: (H, W) uint8, None where nobody labelled it."""

    rgb: Callable[[], Rgb]
    labels: Callable[[], Rgb] | None = None


@dataclass(frozen=True)
class Scores:
    """What one engine makes of the pictures, one row each.

    agreement: (N,) share of the labels that are those of the float engine.
    counts: (N, K, K + extra) pixels by true and predicted class, the model's own ones last; None where nothing is
    labelled.
    """

    agreement: Floats
    counts: NDArray[np.int64] | None = None

    @property
    def miou(self) -> float | None:
        """Over all pictures, as a fraction."""
        return None if self.counts is None else float(mious(self.counts.sum(0)[None])[0])

    def same_labels(self) -> Estimate:
        """The mean agreement, as a fraction."""
        return mean_estimate(self.agreement)

    def drop_from(self, other: Scores) -> Estimate | None:
        """How much less mIoU this has than `other` on the same pictures, as a fraction; None without labels.

        Both are judged on the same draws: a hard picture is hard for both.
        """
        counts = self.counts
        if counts is None or other.counts is None:
            return None
        n = len(counts)
        own, its = (each.reshape(n, -1).astype(np.float64) for each in (counts, other.counts))

        def drop(weights: Floats) -> Floats:
            shape = (len(weights), *counts.shape[1:])
            return mious((weights @ its).reshape(shape)) - mious((weights @ own).reshape(shape))

        return bootstrap(drop, n)


class Judge:
    """Holds the pictures and the float engine's masks of them, and scores other engines.

    counted: (number of classes, ignored id) of the pictures' labels; None to judge by agreement alone. match: of the
    model's classes with those of the labels; None where they are the same.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        reference: Segmenter,
        counted: tuple[int, int] | None,
        match: ClassMatch | None = None,
    ) -> None:
        self.counted, self.match = counted, match
        self._size = (reference.spec.input.height, reference.spec.input.width)
        self._pictures, self._room = pictures, KEPT_BYTES
        self._kept: dict[int, tuple[Rgb, Rgb | None]] = {}
        self._masks: list[Rgb] = []
        self.reference = self.scores(reference)

    def __len__(self) -> int:
        return len(self._pictures)

    def scores(self, segmenter: Segmenter) -> Scores:
        """Segment every picture, at the size of its labels."""
        first = len(self._masks) == 0
        agreement, counts = [], []
        for index in range(len(self._pictures)):
            rgb, truth = self._decoded(index)
            mask = segmenter.segment(rgb, None if truth is None else (truth.shape[0], truth.shape[1])).labels
            if first:
                self._masks.append(np.array(mask))
            agreement.append(label_agreement(mask, self._masks[index]))
            if truth is not None and self.counted is not None:
                confusion = ConfusionMatrix(*self.counted, len(self.match.extra) if self.match else 0)
                confusion.update(self.match(mask) if self.match else mask, truth)
                counts.append(confusion.counts)
        return Scores(np.array(agreement), np.stack(counts) if counts else None)

    def _decoded(self, index: int) -> tuple[Rgb, Rgb | None]:
        """The picture at the input's size, and its labels; kept while there is room."""
        if index in self._kept:
            return self._kept[index]
        picture = self._pictures[index]
        rgb = resize_rgb(picture.rgb(), self._size)
        truth = picture.labels() if self.counted is not None and picture.labels is not None else None
        self._room -= rgb.nbytes + (0 if truth is None else truth.nbytes)
        if self._room >= 0:
            self._kept[index] = (rgb, truth)
        return rgb, truth


def mious(counts: NDArray[Any]) -> Floats:
    """Confusion matrices (draws, K, K + extra) -> the mIoU of each (draws,), over the classes that occur in it."""
    hits = np.diagonal(counts, axis1=1, axis2=2).astype(np.float64)
    union = counts[:, :, : counts.shape[1]].sum(1) + counts.sum(2) - hits
    shares = np.divide(hits, union, out=np.zeros_like(hits), where=union > 0)
    seen = (union > 0).sum(1)
    total: Floats = shares.sum(1)
    found: Floats = np.divide(total, seen, out=np.full(len(counts), np.nan), where=seen > 0)
    return found


def pictures_from_dataset(dataset: Dataset) -> list[Picture]:
    """The pictures of a data set, with their labels."""
    return [Picture(sample.rgb, sample.labels) for sample in dataset]


def pictures_from_frames(frames: Sequence[Rgb]) -> list[Picture]:
    """Pictures that are in memory, without labels."""
    return [Picture(partial(np.asarray, rgb)) for rgb in frames]
