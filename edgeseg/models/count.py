"""Parameters and multiply-adds of a network."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Counts:
    """parameters: trainable values, without buffers. macs: multiply-adds for one image."""

    parameters: int
    macs: int


def count(module: nn.Module, width: int, height: int) -> Counts:
    """Count `module` in evaluation mode at WIDTHxHEIGHT; `module` is unchanged.

    macs: convolutions and matrix products, including attention; without norms, activations and resizing. Papers
    often call this FLOPs. Nothing is computed: tensors on PyTorch's meta device have no values.
    """
    shadow = copy.deepcopy(module).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shadow(torch.empty(1, 3, height, width, device="meta"))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Counts(parameters=parameters, macs=counter.get_total_flops() // 2)
