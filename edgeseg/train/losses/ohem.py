"""Online hard example mining: cross-entropy of the pixels whose true class is improbable.

Shrivastava, Gupta, Girshick, "Training region-based object detectors with online hard example mining", CVPR 2016, arXiv
1604.03540, as in the reference implementations of BiSeNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from edgeseg.train.losses.cross_entropy import pixel_losses
from edgeseg.train.losses.loss import Loss, Target, number, weighted_mean

MIN_HARD_DIVISOR = 16


@dataclass(frozen=True)
class Ohem:
    """probability: only pixels whose true class has less than this count."""

    probability: float = number(0.7, most=1)
    by_pixel: ClassVar[bool] = True

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """See `Loss`."""
        losses = pixel_losses(logits, target)
        return weighted_mean(losses, target.pixel_weights * hard_pixels(losses, target.labelled, self.probability))


@torch.no_grad()
def hard_pixels(losses: Tensor, labelled: Tensor, probability: float) -> Tensor:
    """(N, h, w) bool: the true class has less than `probability`; at least a sixteenth of the labelled pixels."""
    values = losses[labelled]
    if not len(values):
        return labelled
    least = values.kthvalue(len(values) - len(values) // MIN_HARD_DIVISOR).values
    easy = -torch.log(torch.tensor(probability))
    return (losses >= torch.minimum(least, easy)) & labelled


LOSS: type[Loss] = Ohem
