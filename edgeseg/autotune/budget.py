"""How much accuracy a precision may cost, and whether a candidate is surely within it."""

from __future__ import annotations

from dataclasses import dataclass

from edgeseg.autotune.estimate import Estimate
from edgeseg.autotune.judge import Scores


@dataclass(frozen=True)
class Budget:
    """What may be lost, and how long the search may take.

    max_drop: of mIoU against the float engine, as a fraction; where pictures are labelled.
    min_agreement: the least share of the float engine's labels; where they are not.
    sure: whether the whole 95% interval must lie within the limit, and not the figure alone.
    """

    max_drop: float = 0.005
    min_agreement: float = 0.99
    minutes: float = 10.0
    sure: bool = True


@dataclass(frozen=True)
class Cost:
    """What a candidate loses, as a fraction of mIoU or of the labels, and how much it may.

    labelled: whether it is mIoU. sure: as in `Budget`.
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
        """Whether the limit lies inside the interval, so that these pictures cannot tell."""
        return self.sure and self.loss.low <= self.limit < self.loss.high

    def text(self) -> str:
        """For a verdict: "-0.21 mIoU" or "99.31% of the labels"."""
        if self.labelled:
            return f"{-100 * self.loss.value:+.2f} mIoU"
        return f"{1 - self.loss.value:.2%} of the labels"

    def complaint(self) -> str:
        """Why it is not within the limit, for a verdict."""
        if self.labelled:
            lose = "may lose more" if self.straddles else "loses more"
            return f"{lose} than {100 * self.limit:.2f} mIoU: {self.text()} ({self.doubt()})"
        keep = "may keep fewer" if self.straddles else "keeps fewer"
        return f"{keep} than {1 - self.limit:.2%} of the float labels: {1 - self.loss.value:.2%} ({self.doubt()})"

    def doubt(self) -> str:
        """The interval, in the same unit."""
        if self.labelled:
            return f"{-100 * self.loss.high:+.2f} to {-100 * self.loss.low:+.2f}"
        return f"{1 - self.loss.high:.2%} to {1 - self.loss.low:.2%}"


def cost_from_scores(scores: Scores, reference: Scores, budget: Budget) -> Cost:
    """What `scores` lose against the float engine's."""
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
