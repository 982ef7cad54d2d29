"""What the nets with a block for context on a dilated ResNet share: variants, the net, and attention over a map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.models.dilated import ContextHead, DilatedNet
from edgeseg.models.resnet import resnet_of_code

# Keyword arguments of `context_net`: those that mmsegmentation publishes weights of, and a small one for tests.
VARIANTS: dict[str, dict[str, Any]] = {
    "resnet50": {"depth": 50, "width": 64, "channels": 512},
    "resnet101": {"depth": 101, "width": 64, "channels": 512},
    "tiny": {"depth": 10, "width": 8, "channels": 32},
}


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float = 1.0) -> Tensor:
    """Sums of values, weighted by the softmax of products of query and key over all positions of the key.

    (N, c, H, W), (N, c, M), (N, C, M) to (N, C, H, W). The plain products are what engines fuse to a kernel that does
    not store the (H W, M) weights.
    """
    weights = torch.softmax(query.flatten(2).transpose(1, 2) * scale @ key, 2)
    return (weights @ value.transpose(1, 2)).transpose(1, 2).reshape(*value.shape[:2], *query.shape[2:])


def context_net(
    classes: int,
    block: Callable[[int], nn.Module],
    *,
    depth: int,
    width: int,
    channels: int,
    trunk: str = "mmseg",
    auxiliary: bool = False,
) -> DilatedNet:
    """A ResNet with logits at 1/8, and `block` in a ContextHead.

    depth, width: of the ResNet. channels: inside the head. trunk: whose ResNet, a key of resnet.CODES.
    """
    backbone = resnet_of_code(trunk, depth, width)
    head = ContextHead(backbone.channels[-1], channels, classes, block(channels))
    return DilatedNet(backbone, head, classes, auxiliary=auxiliary)
