"""Cross-entropy of each pixel, -log p of its true class: the weighted mean over the labelled pixels.

Label smoothing: Szegedy et al., "Rethinking the inception architecture for computer vision", arXiv 1512.00567.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from edgeseg.train.losses.loss import IGNORE, Loss, Target, number, weighted_mean


@dataclass(frozen=True)
class CrossEntropy:
    """smoothing: share of the truth that is spread evenly over all classes."""

    smoothing: float = number(0.0, most=1)
    by_pixel: ClassVar[bool] = True

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """See `Loss`."""
        return weighted_mean(pixel_losses(logits, target, self.smoothing), target.pixel_weights)


def pixel_losses(logits: Tensor, target: Target, smoothing: float = 0.0) -> Tensor:
    """(N, h, w): -log p of the true class, without weights; 0 where there is none."""
    return F.cross_entropy(logits, target.labels, ignore_index=IGNORE, reduction="none", label_smoothing=smoothing)


LOSS: type[Loss] = CrossEntropy
