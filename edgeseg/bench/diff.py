"""How alike two engines label the same images, and which of them is right where there is ground truth."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.bench.accuracy_change import MAX_CLASS_DROP, AccuracyChange, accuracy_change
from edgeseg.datasets.dataset import Dataset
from edgeseg.datasets.matching import match_classes
from edgeseg.errors import DataError, MismatchError
from edgeseg.measure.estimate import Estimate, mean_estimate
from edgeseg.metrics.agreement import label_agreement
from edgeseg.metrics.confusion import ConfusionMatrix
from edgeseg.metrics.metric import share
from edgeseg.metrics.motion import TrackedFlicker
from edgeseg.progress import Progress, silent
from edgeseg.segmenter import Segmenter
from edgeseg.spec import LabelSet

Bytes = NDArray[np.uint8]
NO_TRUTH = 255


@dataclass(frozen=True)
class DiffImage:
    """An image that both engines label. labels: of the truth, (H, W) uint8; None without one."""

    name: str
    rgb: Callable[[], Bytes]
    labels: Callable[[], Bytes] | None = None


@dataclass(frozen=True)
class LabelPair:
    """What both engines say of one image, (H, W) uint8 in the ids of `EngineDiff.names`. truth: None without one."""

    rgb: Bytes
    a: Bytes
    b: Bytes
    truth: Bytes | None


@dataclass(frozen=True)
class DifferingImage:
    """An image of those that differ most. agreement: its share of equal labels."""

    name: str
    agreement: float
    labels: LabelPair


@dataclass(frozen=True)
class EngineDiff:
    """The difference of B from A over all images, as fractions.

    names: the classes, of the data set or of A, then those that only A, and only B has. agreement: the share of equal
    labels, the mean over images. by_image: (N,) of each. counts: (K, K) pixels by A's label and by B's.
    change: of the accuracy; None without truth. flicker: of A and of B, where the images are the frames of a video.
    worst: the images that differ most, the worst first, as many as were asked for.
    """

    names: tuple[str, ...]
    agreement: Estimate
    by_image: NDArray[np.float64]
    counts: NDArray[np.int64]
    change: AccuracyChange | None
    flicker: tuple[TrackedFlicker, TrackedFlicker] | None = None
    worst: tuple[DifferingImage, ...] = ()

    @property
    def miou(self) -> float:
        """The mIoU of B with A as the truth."""
        return self._confusion().miou()

    def by_class(self) -> dict[str, dict[str, float | None]]:
        """Name -> "agreement", the share of A's pixels of the class with B's label equal, and "iou", for classes that
        A or B has.
        """
        agreement, iou = share(np.diagonal(self.counts), self.counts.sum(1)), self._confusion().iou()
        return {
            name: {"agreement": _known(agreement[place]), "iou": _known(iou[place])}
            for place, name in enumerate(self.names)
            if not np.isnan(iou[place])
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "images": len(self.by_image),
            "agreement": self.agreement.to_dict(),
            "miou_of_b_against_a": self.miou,
            "by_class": self.by_class(),
            "by_image": self.by_image.tolist(),
            "truth": self.change.to_dict() if self.change else None,
            "flicker": dict(zip("ab", (each.to_dict() for each in self.flicker))) if self.flicker else None,
            "worst": [{"image": each.name, "agreement": each.agreement} for each in self.worst],
        }

    def _confusion(self) -> ConfusionMatrix:
        confusion = ConfusionMatrix(len(self.names), NO_TRUTH)
        confusion.counts = self.counts
        return confusion


class EnginePair:
    """Labels images with both engines, in the ids of one list of classes.

    names: the data set's classes, if there is one, or else A's; then those that only A, and only B has. known: how many
    of them the truth may have. palette: (K, 3) their colours. MismatchError where the engines have no class in common.
    """

    def __init__(self, a: Segmenter, b: Segmenter, dataset: Dataset | None = None) -> None:
        self.a, self.b, self.dataset = a, b, dataset
        base = dataset.labels if dataset is not None else a.spec.labels
        if dataset is not None:
            for each in (a, b):
                match_classes(each.spec.labels, dataset, each.spec.name)
        elif not set(base.names) & set(b.spec.labels.names):
            message = f"{a.spec.name} and {b.spec.name} have no class in common"
            raise MismatchError(message, hint="compare models of the same classes", code="ES-MISMATCH-CLASSES")
        self.names = tuple(dict.fromkeys((*base.names, *a.spec.labels.names, *b.spec.labels.names)))
        self.known, self.ignore = len(base), base.ignore
        colors = {**b.spec.labels.colors(), **a.spec.labels.colors()}
        self.palette = np.array([colors[name] for name in self.names], np.uint8)
        self._ids = [ids_in(each.spec.labels, self.names) for each in (a, b)]

    def labels(self, image: DiffImage) -> LabelPair:
        """The labels of both, at the size of the truth, or of the image."""
        rgb, truth = image.rgb(), None if image.labels is None else image.labels()
        size = (rgb if truth is None else truth).shape[:2]
        masks = [ids[each.segment(rgb, (size[0], size[1])).labels] for ids, each in zip(self._ids, (self.a, self.b))]
        return LabelPair(rgb, masks[0], masks[1], truth)


def engine_diff(
    pair: EnginePair,
    images: Iterable[DiffImage],
    *,
    max_class_drop: float = MAX_CLASS_DROP,
    is_video: bool = False,
    worst: int = 0,
    total: int | None = None,
    progress: Progress = silent,
) -> EngineDiff:
    """Label all images with both engines. DataError without images.

    is_video: the images are frames in their order. worst: how many of the images that differ most to keep. total: how
    many images there are, for the progress.
    """
    shares: list[float] = []
    counts = ConfusionMatrix(len(pair.names), NO_TRUTH)
    matrices: list[list[NDArray[np.int64]]] = []
    flicker = (TrackedFlicker(), TrackedFlicker()) if is_video else None
    heap: list[tuple[float, int, DifferingImage]] = []  # a heap: the least different one first
    for number, image in enumerate(images, 1):
        labels = pair.labels(image)
        shares.append(label_agreement(labels.a, labels.b))
        counts.update(labels.b, labels.a)
        if labels.truth is not None:
            matrices.append([_counts(pair, mask, labels.truth) for mask in (labels.a, labels.b)])
        for each, mask in zip(flicker or (), (labels.a, labels.b)):
            each.update(labels.rgb, mask)
        heapq.heappush(heap, (-shares[-1], -number, DifferingImage(image.name, shares[-1], labels)))
        if len(heap) > worst:
            heapq.heappop(heap)
        progress("diff", number, total)
    if not shares:
        raise DataError(
            "there are no images to compare", hint="name some with --data or --images", code="ES-DATA-EMPTY"
        )
    change = None
    if len(matrices) > 1 and pair.dataset is not None:
        a, b = (np.stack([each[side] for each in matrices]) for side in (0, 1))
        names, data = pair.names[: pair.known], pair.dataset.name
        change = accuracy_change(data, names, a, b, max_class_drop=max_class_drop)
    agreement, by_image = mean_estimate(np.array(shares)), np.array(shares)
    most = tuple(image for *_, image in sorted(heap, key=lambda each: each[:2], reverse=True))
    return EngineDiff(pair.names, agreement, by_image, counts.counts, change, flicker, most)


def images_from_dataset(dataset: Dataset) -> list[DiffImage]:
    """The images of a data set with their truth."""
    return [DiffImage(sample.name, sample.rgb, sample.labels) for sample in dataset]


def images_from_rgbs(rgbs: Iterable[Bytes]) -> Iterable[DiffImage]:
    """Images in memory, such as the frames of a video, without truth."""
    return (DiffImage(f"{number:06d}", partial(np.asarray, rgb)) for number, rgb in enumerate(rgbs))


def ids_in(labels: LabelSet, names: Sequence[str]) -> Bytes:
    """(256,) uint8: the id of each class of `labels` in `names`."""
    ids = np.full(256, NO_TRUTH, np.uint8)
    ids[: len(labels)] = [names.index(name) for name in labels.names]
    return ids


def _counts(pair: EnginePair, mask: Bytes, truth: Bytes) -> NDArray[np.int64]:
    confusion = ConfusionMatrix(pair.known, pair.ignore, len(pair.names) - pair.known)
    confusion.update(mask, truth)
    return confusion.counts


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
