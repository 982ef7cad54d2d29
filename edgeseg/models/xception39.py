"""Xception39 as a backbone: the narrow Xception that BiSeNet's authors made for speed.

Yu et al., arXiv 1808.00897, section 4.1; its widths and blocks are read off the authors' code (TorchSeg).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.layers import conv_bn, conv_bn_relu
from edgeseg.models.resnet import kaiming_init

STEM = 8
BLOCKS = (4, 8, 4)
WIDTHS = (16, 32, 64)
EXPANSION = 4


def separable(channels: int, out: int, *, stride: int = 1, relu: bool = False) -> nn.Sequential:
    """Depthwise 3x3 without batch norm, then 1x1 with one."""
    depthwise = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
    return nn.Sequential(depthwise, conv_bn(channels, out, 1, relu=relu))


class Block(nn.Module):
    """Three separable convolutions to four times `width`, with a shortcut, itself one where the stride is 2."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        last = separable(width, EXPANSION * width)
        self.body = nn.Sequential(
            separable(channels, width, stride=stride, relu=True), separable(width, width, relu=True), last
        )
        self.shortcut = separable(channels, EXPANSION * width, stride=stride) if stride == 2 else nn.Identity()
        nn.init.zeros_(last.get_parameter("1.1.weight"))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, 4 width, H/stride, W/stride)."""
        return F.relu(self.body(x) + self.shortcut(x))


class Xception39(nn.Module):
    """The backbone. `channels` tells what each stage gives."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = tuple(EXPANSION * width for width in WIDTHS)
        self.stem = nn.Sequential(conv_bn_relu(3, STEM, stride=2), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList()
        enters = STEM
        for depth, width, out in zip(BLOCKS, WIDTHS, self.channels):
            rest = (Block(out, width, 1) for _ in range(depth - 1))
            self.stages.append(nn.Sequential(Block(enters, width, 2), *rest))
            enters = out
        kaiming_init(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """What the three stages give, at 1/8, 1/16 and 1/32 of the size."""
        x, features = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
