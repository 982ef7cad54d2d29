"""Losses over logits at any stride and labels at full size."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255
MAIN_STEP, AUXILIARY_STEP = 2, 4  # the loss of every pixel of every head takes more time than the network
MIN_HARD_DIVISOR = 16


@dataclass(frozen=True)
class Criterion:
    """The loss of all heads.

    class_weights: (C,). auxiliary: weight of each auxiliary head.
    ohem: only pixels whose true class has less than this probability count (online hard example mining; 0: all count).
    dice: weight of the main head's Dice loss. align_corners: of the upsampling of logits.
    """

    class_weights: Tensor
    auxiliary: float = 0.4
    ohem: float = 0.0
    dice: float = 0.0
    align_corners: bool = False

    def __call__(self, logits: list[Tensor], labels: Tensor) -> Tensor:
        """Main head first, each (N, C, h, w); labels (N, H, W) int64, 255 is ignored.

        The loss takes one pixel of each block of 2x2 (main head) or 4x4 (others), drawn for each batch: its mean over
        batches is that of all pixels.
        """
        main, *others = logits
        thinned = thin(labels, MAIN_STEP)
        full = upsampled(main, thinned, self.align_corners)
        loss = self.cross_entropy(full, thinned)
        if self.dice:
            loss = loss + self.dice * dice_loss(full, thinned)
        for head in others:
            thinned = thin(labels, AUXILIARY_STEP)
            full = upsampled(head, thinned, self.align_corners)
            loss = loss + self.auxiliary * self.cross_entropy(full, thinned)
        return loss

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted mean over the labelled pixels, or over the hard ones among them."""
        losses = F.cross_entropy(logits, labels, self.class_weights, ignore_index=IGNORE, reduction="none")
        labelled = labels != IGNORE
        weights = self.class_weights[labels.where(labelled, 0)] * labelled
        if self.ohem:
            weights = weights * hard_pixels(logits, labels, self.ohem)
        return (losses * (weights > 0)).sum() / weights.sum().clamp_min(1e-6)


def balanced_class_weights(shares: Tensor, balance: float = 1.0) -> Tensor:
    """(1 / ln(1.02 + share)) ** balance, scaled to a mean of 1 (Paszke et al., "ENet", arXiv 1606.02147, section 5.2).

    shares: (C,) share of each class among the labelled pixels. balance: 1 as in the paper, 0 for equal weights; it
    raises the recall of rare classes, and lowers their precision.
    """
    weights = (1.0 / torch.log(1.02 + shares)) ** balance
    return weights / weights.mean()


def thin(labels: Tensor, step: int) -> Tensor:
    """One pixel of each block of `step` x `step`, at one random position: (N, H, W) to (N, H/step, W/step)."""
    row, column = (int(i) for i in torch.randint(step, (2,)))
    return labels[:, row::step, column::step]


def upsampled(logits: Tensor, labels: Tensor, align_corners: bool = False) -> Tensor:
    """Logits in float32, upsampled bilinearly to the size of the labels."""
    return F.interpolate(logits.float(), size=labels.shape[-2:], mode="bilinear", align_corners=align_corners)


@torch.no_grad()
def hard_pixels(logits: Tensor, labels: Tensor, probability: float) -> Tensor:
    """(N, H, W) bool: the true class has less than `probability`; at least a sixteenth of the labelled pixels.

    Shrivastava et al., arXiv 1604.03540, as in the reference implementations of BiSeNet.
    """
    losses = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="none")
    labelled = losses[labels != IGNORE]
    if not len(labelled):
        return labels != IGNORE
    least = labelled.kthvalue(len(labelled) - len(labelled) // MIN_HARD_DIVISOR).values
    easy = -torch.log(torch.tensor(probability))
    return (losses >= torch.minimum(least, easy)) & (labels != IGNORE)


def dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - 2 |A and B| / (|A|^2 + |B|^2), the mean over the classes that occur (Milletari, arXiv 1606.04797)."""
    labelled = (labels != IGNORE).unsqueeze(1)
    probability = logits.softmax(1) * labelled
    truth = F.one_hot(labels.where(labels != IGNORE, 0), logits.shape[1]).permute(0, 3, 1, 2) * labelled
    both = (probability * truth).sum((0, 2, 3))
    either = (probability.square() + truth).sum((0, 2, 3))
    occurs = truth.sum((0, 2, 3)) > 0
    return (1 - 2 * both / either.clamp_min(1e-6))[occurs].mean() if bool(occurs.any()) else logits.sum() * 0


def divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the classes (N, C, h, w) from those of `target`, at each position (N, h, w).

    Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network", arXiv 1503.02531, at temperature 1.
    """
    student, teacher = F.log_softmax(logits, 1), F.log_softmax(target, 1)
    return F.kl_div(student, teacher, reduction="none", log_target=True).sum(1)


def distillation(logits: Tensor, target: Tensor, labels: Tensor, align_corners: bool = False) -> Tensor:
    """Mean divergence of a head from a teacher's logits, at its stride, over the labelled pixels of (N, H, W)."""
    size = target.shape[-2:]
    student = F.interpolate(logits.float(), size=size, mode="bilinear", align_corners=align_corners)
    labelled = F.interpolate(labels[:, None].float(), size=size, mode="nearest")[:, 0] != IGNORE
    return (divergence(student, target.float()) * labelled).sum() / labelled.sum().clamp_min(1)
