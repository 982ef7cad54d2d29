"""The accuracy that a candidate may lose, and whether it stays within that budget."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.autotune.scoring import Scores
from edgeseg.measure.estimate import Estimate
from edgeseg.metrics.least_labels import LEAST_LABELS


@dataclass(frozen=True)
class Budget:
    """The accuracy that a candidate may lose, and the time of the search.

    max_drop: of mIoU against the float engine, as a fraction; for labelled images.
    min_agreement: the smallest share of pixels that keep the float engine's label; for images without labels.
    sure: whether the whole 95% interval must lie within the limit, instead of the estimate alone.
    """

    max_drop: float = 0.005
    min_agreement: float = LEAST_LABELS["int8 by choice"]
    minutes: float = 10.0
    sure: bool = True


@dataclass(frozen=True)
class Cost:
    """The loss of a candidate, as a fraction of mIoU or of the labels, and its limit.

    labelled: whether the loss is mIoU. sure: as in `Budget`.
    """

    loss: Estimate
    limit: float
    labelled: bool
    sure: bool = True

    @property
    def is_within(self) -> bool:
        """Whether the loss lies within the limit."""
        return (self.loss.high if self.sure else self.loss.value) <= self.limit

    @property
    def straddles(self) -> bool:
        """Whether the limit lies inside the interval, so that these images cannot decide."""
        return self.sure and self.loss.low <= self.limit < self.loss.high

    def text(self) -> str:
        """For a summary: "-0.21 mIoU" or "99.31% of the labels"."""
        if self.labelled:
            return f"{-100 * self.loss.value:+.2f} mIoU"
        return f"{1 - self.loss.value:.2%} of the labels"

    def complaint(self) -> str:
        """Why the loss is not within the limit, for a summary."""
        if self.labelled:
            lose = "may lose more" if self.straddles else "loses more"
            return f"{lose} than {100 * self.limit:.2f} mIoU: {self.text()} ({self.interval()})"
        keep = "may keep fewer" if self.straddles else "keeps fewer"
        return f"{keep} than {1 - self.limit:.2%} of the float labels: {1 - self.loss.value:.2%} ({self.interval()})"

    def interval(self) -> str:
        """The interval, in the unit of `text`."""
        if self.labelled:
            return f"{-100 * self.loss.high:+.2f} to {-100 * self.loss.low:+.2f}"
        return f"{1 - self.loss.high:.2%} to {1 - self.loss.low:.2%}"


def cost_from_scores(scores: Scores, reference: Scores, budget: Budget) -> Cost:
    """The loss of `scores` against those of the float engine."""
    drop = scores.drop_from(reference)
    if drop is not None:
        return Cost(drop, budget.max_drop, labelled=True, sure=budget.sure)
    same = scores.same_labels()
    return Cost(
        Estimate(1 - same.value, 1 - same.high, 1 - same.low),
        1 - budget.min_agreement,
        labelled=False,
        sure=budget.sure,
    )
