"""The accuracy of an engine: mIoU over labelled images, and the share of labels that equal the float engine's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.datasets.dataset import Dataset
from edgeseg.datasets.matching import ClassMatch
from edgeseg.measure.estimate import Estimate, Floats, bootstrap, mean_estimate
from edgeseg.metrics.agreement import label_agreement
from edgeseg.metrics.confusion import ConfusionMatrix, hits_and_unions, mean_ious
from edgeseg.pixels.resize import resize_rgb
from edgeseg.segmenter import Segmenter

CACHE_BYTES = 512 << 20  # of decoded images: each candidate segments all of them
Rgb = NDArray[np.uint8]


@dataclass(frozen=True)
class EvaluationImage:
    """One image, decoded on demand. labels: (H, W) uint8, None without ground truth."""

    rgb: Callable[[], Rgb]
    labels: Callable[[], Rgb] | None = None


@dataclass(frozen=True)
class Scores:
    """The accuracy of one engine, a row per image.

    agreement: (N,) share of pixels with the float engine's label.
    counts: (N, K, K + extra) pixels by true and predicted class, classes that only the model has last; None without
    labels.
    """

    agreement: Floats
    counts: NDArray[np.int64] | None = None

    @property
    def miou(self) -> float | None:
        """Over all images, as a fraction."""
        return None if self.counts is None else float(mious(self.counts.sum(0)[None])[0])

    def same_labels(self) -> Estimate:
        """The mean agreement, as a fraction."""
        return mean_estimate(self.agreement)

    def drop_from(self, other: Scores) -> Estimate | None:
        """The mIoU of `other` minus this one on the same images, as a fraction; None without labels.

        Both are resampled with the same draws, because an image is hard for both.
        """
        counts = self.counts
        if counts is None or other.counts is None:
            return None
        own, its = (np.stack(hits_and_unions(each)).astype(np.float64) for each in (counts, other.counts))

        def drop(weights: Floats) -> Floats:
            return mean_ious(*(weights @ its)) - mean_ious(*(weights @ own))

        return bootstrap(drop, len(counts))


class Scorer:
    """Has the images and the float engine's masks of them, and scores other engines.

    classes: (number of classes, ignored id) of the labels; None to score by agreement alone. match: of the model's
    classes with those of the labels; None where they are the same.
    """

    def __init__(
        self,
        images: Sequence[EvaluationImage],
        reference: Segmenter,
        classes: tuple[int, int] | None,
        match: ClassMatch | None = None,
    ) -> None:
        self.classes, self.match = classes, match
        network_input = reference.spec.input
        self._size = None if reference.tiles else (network_input.height, network_input.width)
        self._images, self._free_bytes = images, CACHE_BYTES
        self._cache: dict[int, tuple[Rgb, Rgb | None]] = {}
        self._masks: list[Rgb] = []
        self.reference = self.scores(reference)

    def __len__(self) -> int:
        return len(self._images)

    def scores(self, segmenter: Segmenter) -> Scores:
        """Segment every image at the size of its labels."""
        is_reference = not self._masks
        agreement, counts = [], []
        for index in range(len(self._images)):
            rgb, truth = self._decoded(index)
            mask = segmenter.segment(rgb, None if truth is None else (truth.shape[0], truth.shape[1])).labels
            if is_reference:
                self._masks.append(np.array(mask))
            agreement.append(label_agreement(mask, self._masks[index]))
            if truth is not None and self.classes is not None:
                confusion = ConfusionMatrix(*self.classes, len(self.match.extra) if self.match else 0)
                confusion.update(self.match(mask) if self.match else mask, truth)
                counts.append(confusion.counts)
        return Scores(np.array(agreement), np.stack(counts) if counts else None)

    def _decoded(self, index: int) -> tuple[Rgb, Rgb | None]:
        """The image, at the input's size or for tiles at its own, and its labels, cached as long as there is space."""
        if index in self._cache:
            return self._cache[index]
        image = self._images[index]
        rgb = image.rgb() if self._size is None else resize_rgb(image.rgb(), self._size)
        truth = image.labels() if self.classes is not None and image.labels is not None else None
        self._free_bytes -= rgb.nbytes + (0 if truth is None else truth.nbytes)
        if self._free_bytes >= 0:
            self._cache[index] = (rgb, truth)
        return rgb, truth


def mious(counts: NDArray[Any]) -> Floats:
    """Confusion matrices (draws, K, K + extra) -> the mIoU of each (draws,), over the classes that occur in it."""
    return mean_ious(*hits_and_unions(counts))


def images_from_dataset(dataset: Dataset) -> list[EvaluationImage]:
    """The images of a data set with their labels."""
    return [EvaluationImage(sample.rgb, sample.labels) for sample in dataset]


def images_from_frames(frames: Iterable[Rgb]) -> list[EvaluationImage]:
    """Images in memory, without labels."""
    return [EvaluationImage(partial(np.asarray, rgb)) for rgb in frames]
