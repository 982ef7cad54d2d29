"""The loss of all heads of a network, over logits at any stride and labels at full size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from edgeseg.train.losses import DEFAULT, Term, terms_from_texts
from edgeseg.train.losses.detail import detail_loss
from edgeseg.train.losses.loss import IGNORE, Target
from edgeseg.train.losses.presence import presence_loss

PRESENCE = 0.5  # of the auxiliary weight: EncNet's 0.2 beside 0.4
MAIN_STEP, AUXILIARY_STEP = 2, 4  # the loss of every pixel of every head takes more time than the network


@dataclass(frozen=True)
class Criterion:
    """The loss of all heads.

    class_weights: (C,). auxiliary: weight of each auxiliary head.
    terms: their sum is the loss of the main head. Auxiliary heads have those that are means over pixels, or
        cross-entropy where there is none. align_corners: of the upsampling of logits.
    """

    class_weights: Tensor
    auxiliary: float = 0.4
    terms: tuple[Term, ...] = terms_from_texts([DEFAULT])
    align_corners: bool = False

    def __call__(self, logits: list[Tensor], labels: Tensor) -> Tensor:
        """Main head first, each (N, C, h, w); labels (N, H, W) int64, 255 is ignored.

        The loss takes one pixel of each block of 2x2 (main head) or 4x4 (others), drawn for each batch: its mean over
        batches is that of all pixels. A further head of one channel is a detail head, and has `detail_loss`; one of a
        single position is a presence head, and has half the weight and `presence_loss`.
        """
        main, *others = logits
        by_pixel = [term for term in self.terms if term.loss.by_pixel] or terms_from_texts([DEFAULT])
        loss = self.sum_of(self.terms, main, labels, MAIN_STEP)
        for head in others:
            if head.shape[1] == 1 < main.shape[1]:
                loss = loss + self.auxiliary * detail_loss(upsampled(head, labels, self.align_corners), labels)
            elif head.shape[2:] == (1, 1) != main.shape[2:]:
                loss = loss + PRESENCE * self.auxiliary * presence_loss(head, labels)
            else:
                loss = loss + self.auxiliary * self.sum_of(by_pixel, head, labels, AUXILIARY_STEP)
        return loss

    def sum_of(self, terms: Sequence[Term], logits: Tensor, labels: Tensor, step: int) -> Tensor:
        """The weighted sum of `terms` at one pixel of each block of `step` x `step`."""
        target = thinned(labels, self.class_weights, step)
        full = upsampled(logits, target.labels, self.align_corners)
        return torch.stack([term.weight * term.loss(full, target) for term in terms]).sum()


def thinned(labels: Tensor, class_weights: Tensor, step: int) -> Target:
    """One pixel of each block of `step` x `step`, at one random position: (N, H, W) to (N, H/step, W/step)."""
    row, column = (int(i) for i in torch.randint(step, (2,)))
    return Target(labels[:, row::step, column::step], class_weights, labels, step, row, column)


def upsampled(logits: Tensor, labels: Tensor, align_corners: bool = False) -> Tensor:
    """Logits in float32, upsampled bilinearly to the size of the labels."""
    return F.interpolate(logits.float(), size=labels.shape[-2:], mode="bilinear", align_corners=align_corners)


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
