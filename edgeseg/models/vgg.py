"""VGG16 without its classifier: thirteen 3x3 convolutions in five stages, whose pools are left to the network.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, arXiv 1409.1556.
14.71 M parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from edgeseg.models.layers import conv_bn_relu

DEPTHS = (2, 2, 3, 3, 3)  # convolutions by stage
MULTIPLES = (1, 2, 4, 8, 8)  # channels by stage, times the width


def conv_relu(channels: int, out: int, kernel: int = 3, *, dilation: int = 1) -> nn.Sequential:
    """Convolution with bias, which keeps the size, and ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(nn.Conv2d(channels, out, kernel, padding=padding, dilation=dilation), nn.ReLU(inplace=True))


def vgg_stages(
    width: int = 64,
    *,
    norm: bool = False,
    depths: Sequence[int] = DEPTHS,
    dilations: Sequence[int] = (1, 1, 1, 1, 1),
) -> nn.ModuleList:
    """The five stages. width: channels of the first; VGG16 has 64. norm: batch norm in place of biases.

    depths, dilations: number of the convolutions of each stage, and their dilation.
    """
    unit = conv_bn_relu if norm else conv_relu
    stages, channels = nn.ModuleList(), 3
    for depth, multiple, dilation in zip(depths, MULTIPLES, dilations):
        out = multiple * width
        stages.append(nn.Sequential(*(unit(channels if n == 0 else out, out, dilation=dilation) for n in range(depth))))
        channels = out
    return stages
