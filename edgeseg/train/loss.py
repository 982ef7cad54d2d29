"""Losses over logits at any stride and labels at full size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = 255


def balanced_class_weights(shares: Tensor, balance: float = 1.0) -> Tensor:
    """(1 / ln(1.02 + share)) ** balance, scaled to a mean of 1 (Paszke et al., "ENet", arXiv 1606.02147, section 5.2).

    shares: (C,) share of each class among the judged pixels. balance: 1 as in the paper, 0 for equal weights; the
    rare classes' recall rises with it, and their precision falls.
    """
    weights = (1.0 / torch.log(1.02 + shares)) ** balance
    return weights / weights.mean()


def segmentation_loss(logits: list[Tensor], labels: Tensor, weights: Tensor, auxiliary: float) -> Tensor:
    """Weighted cross-entropy of the main head, plus `auxiliary` times that of each further head.

    logits: main head first, each (N, C, h, w); upsampled bilinearly to the labels' size.
    labels: (N, H, W) int64, 255 is not judged.
    """
    main, *others = (head_loss(head, labels, weights) for head in logits)
    return main + auxiliary * torch.stack(others).sum() if others else main


def head_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Weighted cross-entropy of one head; the mean is over judged pixels, in float32."""
    full = F.interpolate(logits.float(), size=labels.shape[-2:], mode="bilinear", align_corners=False)
    return F.cross_entropy(full, labels, weights, ignore_index=IGNORE)
