"""How large and how laborious a network is: parameters, and multiply-adds of a picture."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Counts:
    """parameters: trainable numbers, buffers left out. macs: multiply-adds of one picture."""

    parameters: int
    macs: int


def count(module: nn.Module, width: int, height: int) -> Counts:
    """Count `module` in evaluation mode at WIDTHxHEIGHT; `module` itself is left as it is.

    macs: convolutions and matrix products, attention's included; no norms, activations or resizing. Papers often
    call this FLOPs. Nothing is computed: tensors on PyTorch's meta device have shapes and no values.
    """
    shadow = copy.deepcopy(module).to("meta").eval()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        shadow(torch.empty(1, 3, height, width, device="meta"))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Counts(parameters=parameters, macs=counter.get_total_flops() // 2)
