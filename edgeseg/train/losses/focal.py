"""Focal loss: cross-entropy times (1 - p) ** gamma, so that pixels that are right already count less.

Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection", ICCV 2017, arXiv 1708.02002.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from edgeseg.train.losses.cross_entropy import pixel_losses
from edgeseg.train.losses.loss import Loss, Target, number, weighted_mean

LEAST = 1e-7  # of 1 - p: below gamma 1 its power has no gradient at 0


@dataclass(frozen=True)
class Focal:
    """gamma: exponent; the paper's is 2."""

    gamma: float = number(2.0, most=10)
    by_pixel: ClassVar[bool] = True

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """See `Loss`."""
        losses = pixel_losses(logits, target)
        wrong = (-(-losses).expm1()).clamp_min(LEAST)
        return weighted_mean(wrong**self.gamma * losses, target.pixel_weights)


LOSS: type[Loss] = Focal
