"""DANet: attention over positions and attention over channels, side by side, summed.

Fu et al., "Dual Attention Network for Scene Segmentation", CVPR 2019, arXiv 1809.02983. With a dilated ResNet50 47.46 M
parameters and 441 G multiply-adds at 1024x512 (mmsegmentation). The attention over positions does not scale the
products of query and key. That over channels prefers unlike channels: softmax(max - E), which is softmax(-E). In
training each of the two branches has a classifier of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.models.dilated import DilatedNet, dilated_family
from edgeseg.models.family import Reference
from edgeseg.models.layers import attend, conv_bn_relu
from edgeseg.models.resnet import resnet_of_code

REDUCTION = 8


class PositionAttention(nn.Module):
    """Attention of all positions to all, its share learned from 0 on, added to the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key = (nn.Conv2d(channels, channels // REDUCTION, 1) for _ in range(2))
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x + self.gamma * attend(self.query(x), self.key(x).flatten(2), self.value(x).flatten(2))


class ChannelAttention(nn.Module):
    """Each channel takes a sum of all channels, its share learned from 0 on, added to the map."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        flat = x.flatten(2)
        weights = torch.softmax(-(flat @ flat.transpose(1, 2)), 2)
        return x + self.gamma * (weights @ flat).reshape(x.shape)


def logits_from(channels: int, classes: int) -> nn.Sequential:
    """Dropout in training and a 1x1 convolution to one logit a class."""
    return nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(channels, classes, 1))


class DualAttentionHead(nn.Module):
    """The two branches, each a 3x3 convolution, attention and a 3x3 convolution; their sum is classified.

    auxiliary: a classifier for each branch.
    """

    def __init__(self, channels: int, width: int, classes: int, *, auxiliary: bool) -> None:
        super().__init__()

        def branch(attention: nn.Module) -> nn.Sequential:
            return nn.Sequential(conv_bn_relu(channels, width), attention, conv_bn_relu(width, width))

        self.positions, self.channels = branch(PositionAttention(width)), branch(ChannelAttention())
        self.auxiliary = nn.ModuleList(logits_from(width, classes) for _ in range(2 * auxiliary))
        self.classify = logits_from(width, classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Features of the stages, the last one (N, channels, h, w), to logits (N, C, h, w); in training a list."""
        branches = self.positions(features[-1]), self.channels(features[-1])
        logits: Tensor = self.classify(branches[0] + branches[1])
        if not self.training:
            return logits
        return [logits, *(classify(branch) for classify, branch in zip(self.auxiliary, branches))]


def danet(classes: int, *, depth: int, width: int, channels: int, auxiliary: bool = False) -> DilatedNet:
    """The network. depth, width: of the ResNet. channels: of each branch."""
    backbone = resnet_of_code("mmseg", depth, width)
    decoder = DualAttentionHead(backbone.channels[3], channels, classes, auxiliary=auxiliary)
    return DilatedNet(backbone, decoder, classes, auxiliary=auxiliary)


FAMILY = dilated_family(
    "danet",
    danet,
    group="attention",
    origin="arXiv 1809.02983; compared with mmsegmentation",
    reference=Reference(
        "Cityscapes test 81.5 mIoU (ResNet101); val 79.3 (mmsegmentation, ResNet50)",
        counts={"resnet50": (47.46, 441)},
        licence="Apache-2.0",
    ),
    auxiliary=("head.auxiliary.",),
)
