"""Cross-entropy of each pixel, -log p of its true class: the weighted mean over the labelled pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from edgeseg.train.losses.loss import IGNORE, Loss, Target, weighted_mean


@dataclass(frozen=True)
class CrossEntropy:
    """No options."""

    by_pixel: ClassVar[bool] = True

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """See `Loss`."""
        return weighted_mean(pixel_losses(logits, target), target.pixel_weights)


def pixel_losses(logits: Tensor, target: Target) -> Tensor:
    """(N, h, w): -log p of the true class, without weights; 0 where there is none."""
    return F.cross_entropy(logits, target.labels, ignore_index=IGNORE, reduction="none")


LOSS: type[Loss] = CrossEntropy
