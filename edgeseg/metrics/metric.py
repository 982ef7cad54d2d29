"""The interface of all metrics: count images one by one, merge counts, and give the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, SizeError

Counts = NDArray[np.int64]
Labels = NDArray[np.integer[Any]]
Figures = NDArray[np.float64]
M = TypeVar("M", bound="Metric")


@dataclass(frozen=True)
class MetricResult:
    """The results of one metric over a data set: fractions, nan where nothing was counted.

    pixels: (K,) int64, the counted pixels by true class, without ignored ones.
    overall: values by name, the main one first. by_class: by name (K,) values, one per class.
    """

    pixels: Counts
    overall: Mapping[str, float]
    by_class: Mapping[str, Figures]

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Plain data, with None instead of nan. names: of the classes."""
        if len(names) != len(self.pixels):
            raise DataError(f"{len(names)} names for {len(self.pixels)} classes", hint="give one name per class")
        return {
            **{key: _none_if_nan(figure) for key, figure in self.overall.items()},
            "pixels": int(self.pixels.sum()),
            **{key: dict(zip(names, map(_none_if_nan, figures))) for key, figures in self.by_class.items()},
        }


class Metric(Protocol):
    """Counts images one by one in integers, so that neither order nor grouping changes the result.

    arrays: names of the attributes that hold the counts, int64 arrays; those of images add up.
    num_classes: K, the classes that the truth has. ignore_index: the truth of pixels that are left out.
    extra: number of further ids, K to K + extra - 1, that a prediction may have; they are never right.
    frames: of an image; with 2, of a pair of neighbouring frames of a video, and labels and truth are (2, H, W).
    best: the value of each figure where every prediction is right.
    """

    frames: ClassVar[int] = 1
    best: ClassVar[float] = 1.0
    arrays: ClassVar[tuple[str, ...]]
    num_classes: int
    ignore_index: int
    extra: int

    def __init__(self, num_classes: int, ignore_index: int = 255, extra: int = 0) -> None: ...

    def update(self, labels: Labels, truth: Labels) -> None:
        """Add one image: predicted `labels` and their `truth`, (H, W) both. On an error nothing is added.

        SizeError where the shapes differ; DataError where the truth has ids that are not classes.
        """

    def merge(self: M, other: M) -> M:
        """A new metric with the counts of both. DataError where the classes differ."""

    def result(self) -> MetricResult:
        """The results of all images so far."""

    def sums(self) -> Counts:
        """(R, K) int64: the sums over all images that the main figure is computed from."""

    @staticmethod
    def main_figure(sums: NDArray[Any]) -> Figures:
        """The first of `overall`, of many `sums` (..., R, K) at once; nan where nothing was counted."""


def arrays_from_metric(metric: Metric) -> dict[str, Counts]:
    """The counts of a metric, by attribute."""
    return {name: getattr(metric, name) for name in metric.arrays}


def set_arrays(metric: Metric, arrays: Mapping[str, Counts]) -> None:
    """Set the counts of a metric. DataError where one is missing or has another shape or type."""
    for name, own in arrays_from_metric(metric).items():
        array = arrays.get(name)
        if array is None or (array.shape, array.dtype) != (own.shape, own.dtype):
            shape = None if array is None else (*array.shape, str(array.dtype))
            raise DataError(f"counts {name} of shape {shape}, not {own.shape}", hint="count the images again")
        setattr(metric, name, array)


def share(part: NDArray[Any], whole: NDArray[Any]) -> Figures:
    """`part` / `whole`, nan where `whole` is 0."""
    shares = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def mean_of_known(figures: Figures) -> float:
    """The mean of the values that are not nan; nan where there are none."""
    defined = figures[~np.isnan(figures)]
    return float(defined.mean()) if defined.size else float("nan")


def means_of_known(figures: Figures) -> Figures:
    """`mean_of_known` of each row of `figures` (..., K)."""
    known = ~np.isnan(figures)
    return share(np.where(known, figures, 0.0).sum(-1), known.sum(-1))


def check_shapes(labels: Labels, truth: Labels) -> None:
    """SizeError unless both have one shape."""
    if labels.shape != truth.shape:
        raise SizeError(
            f"labels of shape {labels.shape} for a truth of shape {truth.shape}",
            hint="resize the labels to the size of the truth first",
        )


def true_pixels(truth: Labels, num_classes: int, ignore_index: int) -> Counts:
    """(K,) pixels of each class. DataError with the ids that are neither classes nor ignored."""
    counted = truth[truth != ignore_index].astype(np.int64)
    check_ids("truth", counted, num_classes, ignore_index)
    return np.bincount(counted, minlength=num_classes)


def check_ids(kind: str, ids: Labels, end: int, ignore_index: int) -> None:
    """DataError, with the ids, where some of `ids` lie outside 0 to `end` - 1."""
    outside = ids[(ids < 0) | (ids >= end)]
    if outside.size:
        named = ", ".join(str(i) for i in np.unique(outside)[:8])
        raise DataError(
            f"{outside.size} {kind} pixels have ids outside 0 to {end - 1}: {named}",
            hint=f"map them to classes, or to the ignored id {ignore_index}, or check the number of classes",
        )


def _none_if_nan(figure: float) -> float | None:
    return None if np.isnan(figure) else float(figure)
