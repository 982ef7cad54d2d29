"""The moving average of the weights, which is what a training gives."""

from __future__ import annotations

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move `average` towards `network` after `step` steps: faster in the beginning, when nothing is worth keeping."""
    decay = min(decay, (1 + step) / (10 + step))
    pairs = list(zip(average.state_dict().values(), network.state_dict().values()))
    floating = [pair for pair in pairs if pair[0].dtype.is_floating_point]
    means, values = map(list, zip(*floating))
    get_ema_multi_avg_fn(decay)(means, values, step)  # type: ignore[no-untyped-call]  # all in a few launches
    for mean, value in pairs:
        if not mean.dtype.is_floating_point:
            mean.copy_(value)
