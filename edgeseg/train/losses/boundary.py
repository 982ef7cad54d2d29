"""Cross-entropy that weighs pixels near class boundaries more: 1 + strength * exp(-d^2 / (2 sigma^2)).

Ronneberger, Fischer, Brox, "U-Net", MICCAI 2015, arXiv 1505.04597, section 3, has the distances to the two nearest
cells in place of d; here d is the distance to the nearest pixel that has a neighbour of another class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
import torch
from torch import Tensor

from edgeseg.metrics.boundary import boundary_pixels
from edgeseg.train.losses.cross_entropy import pixel_losses
from edgeseg.train.losses.loss import IGNORE, Loss, Target, number, weighted_mean


@dataclass(frozen=True)
class Boundary:
    """strength: the extra weight on a boundary. sigma: how far it reaches, in pixels of the training crop."""

    strength: float = number(10.0, most=1e3)
    sigma: float = number(5.0, most=1e3)
    by_pixel: ClassVar[bool] = True

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """See `Loss`."""
        near = torch.exp(-target.at_pixels(boundary_distances(target.full)).square() / (2 * self.sigma**2))
        return weighted_mean(pixel_losses(logits, target), target.pixel_weights * (1 + self.strength * near))


def boundary_distances(labels: Tensor) -> Tensor:
    """(N, H, W) float: Euclidean distances to the nearest boundary pixel; infinite in an image without one."""
    distances = []
    for ids in labels.cpu().numpy():
        boundary = boundary_pixels(ids, ids != IGNORE)
        far = np.full(ids.shape, np.inf, np.float32)
        others = (~boundary).astype(np.uint8)
        distances.append(cv2.distanceTransform(others, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) if boundary.any() else far)
    return torch.from_numpy(np.stack(distances)).to(labels.device)


LOSS: type[Loss] = Boundary
