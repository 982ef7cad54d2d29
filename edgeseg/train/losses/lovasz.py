"""Lovasz-softmax: the Lovasz extension of 1 - IoU at the errors of the probabilities, the mean over occurring classes.

Berman, Triki, Blaschko, "The Lovasz-softmax loss", CVPR 2018, arXiv 1705.08790: for each class the errors of all
pixels, sorted downwards, times the steps by which the Jaccard loss grows as one pixel after the other is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from edgeseg.train.losses.loss import Loss, Target, one_hot


@dataclass(frozen=True)
class Lovasz:
    """No options."""

    by_pixel: ClassVar[bool] = False

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """See `Loss`."""
        truth = one_hot(target, logits.shape[1]).transpose(0, 1)[:, target.labelled]  # (C, pixels)
        probability = logits.softmax(1).transpose(0, 1)[:, target.labelled]
        occurs = truth.sum(1) > 0
        if not bool(occurs.any()):
            return logits.sum() * 0
        truth, probability = truth[occurs], probability[occurs]
        errors, order = (truth - probability).abs().sort(1, descending=True)
        return (errors * jaccard_steps(truth.gather(1, order))).sum(1).mean()


def jaccard_steps(truth: Tensor) -> Tensor:
    """(C, pixels): by how much 1 - IoU grows as each pixel, in this order, joins those that are wrong before it."""
    intersection = truth.sum(1, keepdim=True) - truth.cumsum(1)
    union = truth.sum(1, keepdim=True) + (1 - truth).cumsum(1)
    return F.pad(1 - intersection / union, (1, 0)).diff(dim=1)


LOSS: type[Loss] = Lovasz
