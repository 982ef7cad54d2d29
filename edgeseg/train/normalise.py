"""Pixels as a network in training takes them."""

from __future__ import annotations

import torch
from torch import Tensor

from edgeseg.spec import InputSpec


class Normalise:
    """Pixels (N, 3, H, W) of 0 to 255, rgb, as the network takes them."""

    def __init__(self, spec: InputSpec, device: torch.device) -> None:
        self.flip = spec.color == "bgr"
        self.mean = torch.tensor(spec.mean, device=device).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(spec.std, device=device).view(1, 3, 1, 1) * 255

    def __call__(self, images: Tensor) -> Tensor:  # noqa: D102 - the class says it
        return ((images.flip(1) if self.flip else images) - self.mean) / self.std
