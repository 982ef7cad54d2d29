"""The moving average of the weights, which is what a training gives."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards `network` after `step` steps: faster in the beginning, when nothing is worth keeping."""
    decay = min(decay, (1 + step) / (10 + step))
    pairs = list(zip(average.state_dict().values(), network.state_dict().values()))
    moving = [pair for pair in pairs if pair[0].dtype.is_floating_point]
    means, values = zip(*moving)
    torch._foreach_lerp_(means, values, 1 - decay)  # one launch for many tensors, as optimizers do it
    for mean, value in pairs:
        if not mean.dtype.is_floating_point:
            mean.copy_(value)
