"""STDC networks as a backbone: blocks of short-term dense concatenation, features at 1/8, 1/16 and 1/32.

Fan et al., "Rethinking BiSeNet For Real-time Semantic Segmentation", CVPR 2021, arXiv 2104.13188.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from edgeseg.models.layers import conv_bn, conv_bn_relu
from edgeseg.models.resnet import kaiming_init

STDC1, STDC2 = (2, 2, 2), (4, 5, 3)


class DenseConcatenation(nn.Module):
    """A 1x1 convolution to half of the channels, 3x3 ones to a quarter, an eighth and an eighth; all concatenated."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        half = out // 2
        strided = stride > 1
        self.first = conv_bn_relu(channels, half, 1)
        self.down = conv_bn(half, half, stride=stride, groups=half) if strided else nn.Identity()
        self.skip = nn.AvgPool2d(3, stride, 1) if strided else nn.Identity()
        widths = (half, out // 4, out // 8, out // 8)
        self.rest = nn.ModuleList(conv_bn_relu(enters, width) for enters, width in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H/stride, W/stride)."""
        x = self.first(x)
        parts = [self.skip(x)]
        x = self.down(x)
        for conv in self.rest:
            x = conv(x)
            parts.append(x)
        return torch.cat(parts, 1)


class STDCNet(nn.Module):
    """The backbone. depths: blocks by stage, STDC1 or STDC2. width: channels of the stem; stages have 4, 8, 16 times.

    `channels` tells what each stage gives.
    """

    def __init__(self, depths: Sequence[int], width: int) -> None:
        super().__init__()
        self.channels = tuple(factor * width for factor in (4, 8, 16))
        self.stem = nn.Sequential(conv_bn_relu(3, width // 2, stride=2), conv_bn_relu(width // 2, width, stride=2))
        self.stages = nn.ModuleList()
        for enters, out, depth in zip((width, *self.channels), self.channels, depths):
            rest = (DenseConcatenation(out, out, 1) for _ in range(depth - 1))
            self.stages.append(nn.Sequential(DenseConcatenation(enters, out, 2), *rest))
        kaiming_init(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """What the three stages give, at 1/8, 1/16 and 1/32 of the size."""
        x, features = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
