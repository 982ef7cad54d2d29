"""Parameters and multiply-adds of a network."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
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
    with FlopCounterMode(display=False) as counter, torch.inference_mode(), shapes_alone(shadow):
        shadow(torch.empty(1, 3, height, width, device="meta"))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Counts(parameters=parameters, macs=counter.get_total_flops() // 2)


@contextmanager
def shapes_alone(network: nn.Module) -> Iterator[None]:
    """Meanwhile the batch norms of `network`, on the meta device, only tell the shape of what they give.

    There torch takes most of the time of a network for them, which it decomposes.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.__dict__["forward"] = torch.empty_like
    try:
        yield
    finally:
        for norm in norms:
            del norm.__dict__["forward"]
