"""What the nets with a context block on a dilated ResNet share: the head around the block, and attention over a map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.models.dilated import DilatedNet
from edgeseg.models.layers import classifier, conv_bn_relu
from edgeseg.models.resnet import resnet_of_code

# Keyword arguments of `context_net`: those that mmsegmentation publishes weights of, and a small one for tests.
VARIANTS: dict[str, dict[str, Any]] = {
    "resnet50": {"depth": 50, "width": 64, "head": 512},
    "resnet101": {"depth": 101, "width": 64, "head": 512},
    "tiny": {"depth": 10, "width": 8, "head": 32},
}


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float = 1.0) -> Tensor:
    """Sums of values, weighted by the softmax of products of query and key over all positions of the key.

    (N, c, H, W), (N, c, M), (N, C, M) to (N, C, H, W). The plain products are what engines fuse to a kernel that does
    not store the (H W, M) weights.
    """
    weights = torch.softmax(query.flatten(2).transpose(1, 2) * scale @ key, 2)
    return (weights @ value.transpose(1, 2)).transpose(1, 2).unflatten(2, query.shape[2:])


class ContextHead(nn.Module):
    """3x3 convolution, context block, 3x3 convolution; what they give, beside their input, is classified."""

    def __init__(self, channels: int, width: int, classes: int, block: nn.Module) -> None:
        super().__init__()
        self.enter = conv_bn_relu(channels, width)
        self.block = block
        self.leave = conv_bn_relu(width, width)
        self.classify = classifier(channels + width, width, classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of the stages, the last one (N, channels, h, w), to logits (N, C, h, w)."""
        x = features[-1]
        return self.classify(torch.cat([x, self.leave(self.block(self.enter(x)))], 1))  # type: ignore[no-any-return]


def context_net(
    classes: int,
    block: Callable[[int], nn.Module],
    *,
    depth: int,
    width: int,
    head: int,
    code: str = "mmseg",
    auxiliary: bool = False,
) -> DilatedNet:
    """A ResNet with logits at 1/8, and `block` in a ContextHead.

    depth, width: see ResNet. head: channels inside the head. code: see resnet_of_code.
    """
    backbone = resnet_of_code(code, depth, width)
    decoder = ContextHead(backbone.channels[3], head, classes, block(head))
    return DilatedNet(backbone, decoder, classes, auxiliary=auxiliary)
