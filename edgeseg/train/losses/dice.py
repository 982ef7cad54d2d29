"""Dice loss: 1 - 2 |A and B| / (|A|^2 + |B|^2), the mean over the classes that occur.

Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, arXiv 1606.04797.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from edgeseg.train.losses.loss import Loss, Target, one_hot


@dataclass(frozen=True)
class Dice:
    """No options."""

    by_pixel: ClassVar[bool] = False

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """See `Loss`."""
        probability = logits.softmax(1) * target.labelled.unsqueeze(1)
        truth = one_hot(target, logits.shape[1])
        both = (probability * truth).sum((0, 2, 3))
        either = (probability.square() + truth).sum((0, 2, 3))
        occurs = truth.sum((0, 2, 3)) > 0
        return (1 - 2 * both / either.clamp_min(1e-6))[occurs].mean() if bool(occurs.any()) else logits.sum() * 0


LOSS: type[Loss] = Dice
