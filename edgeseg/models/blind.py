"""Dilated convolutions on maps that are too small for them: their outer weights meet padding alone.

With zeros under them these weights are not trained, and the statistics of the batch norm behind are those of fewer
products. On a larger map, as of the whole image, such a layer gives other values than any it was trained for.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from edgeseg.models.count import shapes_alone


def blind_layers(network: nn.Module, width: int, height: int) -> frozenset[str]:
    """The names of the convolutions of `network`, at an input of WIDTHxHEIGHT, with weights that meet padding alone."""
    layers = {name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d)}
    dilated, blind = [name for name, layer in layers.items() if max(layer.dilation) > 1], set[str]()
    if not dilated:
        return frozenset()
    shadow = copy.deepcopy(network).to("meta").eval()
    for name in dilated:

        def look(layer: nn.Conv2d, inputs: tuple[Any, ...], output: torch.Tensor, name: str = name) -> None:
            if any(is_blind(layer, axis, inputs[0].shape[2 + axis], output.shape[2 + axis]) for axis in (0, 1)):
                blind.add(name)

        shadow.get_submodule(name).register_forward_hook(look)
    with torch.inference_mode(), shapes_alone(shadow):
        shadow(torch.empty(1, 3, height, width, device="meta"))
    return frozenset(blind)


def is_blind(layer: nn.Conv2d, axis: int, side: int, outputs: int) -> bool:
    """Whether the first or last weight along `axis` is always outside the map, which has `side` rows or columns."""
    padding = layer.padding[axis]
    assert isinstance(padding, int)
    firsts = range(-padding, outputs * layer.stride[axis] - padding, layer.stride[axis])  # what the first weight sees
    span = (layer.kernel_size[axis] - 1) * layer.dilation[axis]
    return not all(any(0 <= first + offset < side for first in firsts) for offset in (0, span))
