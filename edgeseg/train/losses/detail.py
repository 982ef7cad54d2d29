"""The loss of a detail head, which has one channel and says where classes meet.

Fan et al., "Rethinking BiSeNet for real-time semantic segmentation" (STDC), CVPR 2021, arXiv 2104.13188, section 3.3:
Laplacians of the labels at strides 1, 2 and 4, fused to one map of 0 and 1; binary cross-entropy plus Dice.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from edgeseg.train.losses.loss import IGNORE, weighted_mean

STRIDES = {1: 0.6, 2: 0.3, 4: 0.1}  # with the weight of each in the sum; that of 4 alone is not above THRESHOLD
THRESHOLD = 0.1  # of the Laplacian, and of the sum


def detail_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits (N, 1, H, W), float32, and label images (N, H, W); 0 where none is labelled."""
    labelled = (labels != IGNORE).float()
    truth, logit = detail_map(labels) * labelled, logits[:, 0]
    cross_entropy = weighted_mean(F.binary_cross_entropy_with_logits(logit, truth, reduction="none"), labelled)
    probability = logit.sigmoid() * labelled
    both, either = ((a * b).sum((1, 2)) for a, b in ((probability, truth), (probability + truth, labelled)))
    return cross_entropy + (1 - (2 * both + 1) / (either + 1)).mean()


def detail_map(labels: Tensor) -> Tensor:
    """(N, H, W) float: 1 where classes meet. An ignored pixel has no boundary, and neither has the image's border."""
    ids = labels.float().unsqueeze(1)
    kernel = torch.full((1, 1, 3, 3), -1.0, device=labels.device)
    kernel[..., 1, 1] = 8.0
    known = F.max_pool2d((labels == IGNORE).float().unsqueeze(1), 3, 1, 1) == 0
    laplacian = F.conv2d(F.pad(ids, (1, 1, 1, 1), mode="replicate"), kernel) * known
    edges = (laplacian > THRESHOLD).float()
    fused = torch.zeros_like(ids)
    for stride, weight in STRIDES.items():
        fused = fused + weight * F.interpolate(edges[..., ::stride, ::stride], size=ids.shape[-2:], mode="nearest")
    return (fused > THRESHOLD).float()[:, 0]
