"""What a second engine loses against a first one on the same labelled images, by class, and whether that is chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.measure.estimate import Estimate, draws_for, estimate_from_draws, expanded_tail, resampled
from edgeseg.metrics.confusion import hits_and_unions, mean_ious

CONFIDENCE = 0.99  # of the interval of mIoU, and of those of all classes together
MAX_CLASS_DROP = 0.05
FEWEST_IMAGES = 8  # with the class: of fewer, resampling shows too little of the spread


@dataclass(frozen=True)
class ClassChange:
    """The IoU of one class by both engines, as fractions; None where it does not occur.

    pixels, images: where the truth has it. drop: A - B; its interval is wider the more classes there are (Bonferroni),
    so that chance raises an alarm in about 1 of 100 comparisons. alarm: more than the limit is lost, beyond chance.
    """

    name: str
    pixels: int
    images: int
    a: float | None
    b: float | None
    drop: Estimate | None
    alarm: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {**vars(self), "drop": self.drop.to_dict() if self.drop else None}


@dataclass(frozen=True)
class AccuracyChange:
    """The mIoU of both engines, as fractions. drop: A - B. classes: in the order of the data set."""

    data: str
    images: int
    a: float
    b: float
    drop: Estimate
    classes: tuple[ClassChange, ...]
    max_class_drop: float

    @property
    def alarms(self) -> tuple[ClassChange, ...]:
        """The classes with an alarm."""
        return tuple(each for each in self.classes if each.alarm)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        classes = [each.to_dict() for each in self.classes]
        alarms = [each.name for each in self.alarms]
        return {**vars(self), "drop": self.drop.to_dict(), "classes": classes, "alarms": alarms}


def accuracy_change(
    data: str,
    names: Sequence[str],
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    *,
    max_class_drop: float = MAX_CLASS_DROP,
    seed: int = 0,
) -> AccuracyChange:
    """The change from the confusion matrices `a` to `b`, (N, K, K + extra) each, one per image; N >= 2.

    Images are resampled, the same ones for both engines. A class raises an alarm where the IoU falls by more than
    `max_class_drop`, the whole interval of the fall lies above 0, and FEWEST_IMAGES or more images have the class.
    """
    parts = [np.stack(hits_and_unions(each)).astype(np.float64) for each in (a, b)]  # (2, N, K)
    occurring = int(np.count_nonzero(parts[0][1].sum(0) + parts[1][1].sum(0)))
    tail = expanded_tail(len(a), CONFIDENCE)
    class_tail = expanded_tail(len(a), 1 - (1 - CONFIDENCE) / max(1, occurring))
    weights = resampled(len(a), np.random.default_rng(seed), draws_for(class_tail))
    drawn = [weights @ each for each in parts]  # (2, draws, K)
    whole = [each.sum(1) for each in parts]  # (2, K)
    mious = [float(mean_ious(*each)) for each in whole]
    drop = estimate_from_draws(mious[0] - mious[1], mean_ious(*drawn[0]) - mean_ious(*drawn[1]), tail)
    truth = a.sum(-1)  # (N, K)
    with np.errstate(invalid="ignore"):
        ious = [hits / unions for hits, unions in whole]
        draws = [hits / unions for hits, unions in drawn]
    classes = []
    for place, name in enumerate(names):
        before, after = (None if np.isnan(iou[place]) else float(iou[place]) for iou in ious)
        change = None
        if before is not None and after is not None:
            change = estimate_from_draws(before - after, draws[0][:, place] - draws[1][:, place], class_tail)
        images = int(np.count_nonzero(truth[:, place]))
        lost = change is not None and change.value > max_class_drop and change.low > 0
        alarm = lost and images >= FEWEST_IMAGES
        classes.append(ClassChange(name, int(truth[:, place].sum()), images, before, after, change, alarm))
    return AccuracyChange(data, len(a), mious[0], mious[1], drop, tuple(classes), max_class_drop)
