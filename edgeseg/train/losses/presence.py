"""The loss of a presence head, which has one position and says which classes occur in the image.

Zhang et al., "Context Encoding for Semantic Segmentation" (EncNet), CVPR 2018, arXiv 1803.08904, section 3.1: the
semantic encoding loss, binary cross-entropy of each class. Large and small objects count alike.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.train.losses.loss import IGNORE


def presence_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits (N, C, 1, 1) and label images (N, H, W): the mean over classes and images; 0 where none is labelled."""
    logit = logits.float().flatten(1)
    occurs = torch.stack([(labels == index).flatten(1).any(1) for index in range(logit.shape[1])], 1)
    labelled = (labels != IGNORE).flatten(1).any(1)
    losses = F.binary_cross_entropy_with_logits(logit, occurs.float(), reduction="none").mean(1)
    return (losses * labelled).sum() / labelled.sum().clamp_min(1)
