"""What every metric does: count images one by one, add up counts, and give figures for all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgeseg.errors import DataError, SizeError

Counts = NDArray[np.int64]
Labels = NDArray[np.integer[Any]]
Figures = NDArray[np.float64]
M = TypeVar("M", bound="Metric")


@dataclass(frozen=True)
class MetricResult:
    """The figures of one metric over a data set: fractions, nan where nothing was counted.

    pixels: (K,) int64, the counted pixels by true class; ignored ones are left out.
    overall: figures by name, the main one first. by_class: by name (K,) figures, one for each class.
    """

    pixels: Counts
    overall: Mapping[str, float]
    by_class: Mapping[str, Figures]

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """All figures, ready for JSON: None in place of nan, `names` are those of the classes."""
        if len(names) != len(self.pixels):
            raise DataError(f"{len(names)} names for {len(self.pixels)} classes", hint="give one name for each class")
        return {
            **{key: _plain(figure) for key, figure in self.overall.items()},
            "pixels": int(self.pixels.sum()),
            **{key: dict(zip(names, map(_plain, figures))) for key, figures in self.by_class.items()},
        }


class Metric(Protocol):
    """Counts images one by one in whole numbers, so that neither order nor grouping changes a figure.

    num_classes: K, the classes that the truth has. ignore_index: the truth of pixels that are left out.
    extra: how many more ids, K to K + extra - 1, a prediction may have; these are never right.
    """

    def __init__(self, num_classes: int, ignore_index: int = 255, extra: int = 0) -> None: ...

    def update(self, labels: Labels, truth: Labels) -> None:
        """Add one image: predicted `labels` and their `truth`, (H, W) both. On an error nothing is added.

        SizeError where the shapes differ; DataError where the truth has ids that are no class.
        """

    def merge(self: M, other: M) -> M:
        """A new metric with the counts of both. DataError where they are of other classes."""

    def result(self) -> MetricResult:
        """The figures of all images so far."""


def share(part: Counts, whole: Counts) -> Figures:
    """`part` / `whole`, nan where `whole` is 0."""
    shares = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def mean_of_known(figures: Figures) -> float:
    """The mean of the figures that are not nan; nan where there is none."""
    known = figures[~np.isnan(figures)]
    return float(known.mean()) if known.size else float("nan")


def check_shapes(labels: Labels, truth: Labels) -> None:
    """SizeError unless both have one shape."""
    if labels.shape != truth.shape:
        raise SizeError(
            f"labels of shape {labels.shape} for a truth of shape {truth.shape}",
            hint="bring the labels to the size of the truth first",
        )


def true_pixels(truth: Labels, num_classes: int, ignore_index: int) -> Counts:
    """(K,) pixels of each class. DataError, naming the ids, where some are neither a class nor ignored."""
    counted = truth[truth != ignore_index].astype(np.int64)
    refuse_strange_ids("truth", counted, num_classes, ignore_index)
    return np.bincount(counted, minlength=num_classes)


def refuse_strange_ids(kind: str, ids: Labels, end: int, ignore_index: int) -> None:
    """DataError, naming them, where some of `ids` lie outside 0 to `end` - 1."""
    strange = ids[(ids < 0) | (ids >= end)]
    if strange.size:
        named = ", ".join(str(i) for i in np.unique(strange)[:8])
        raise DataError(
            f"{strange.size} {kind} pixels have ids outside 0 to {end - 1}: {named}",
            hint=f"map them to classes, or to the ignored id {ignore_index}, or check the number of classes",
        )


def _plain(figure: float) -> float | None:
    return None if np.isnan(figure) else float(figure)
