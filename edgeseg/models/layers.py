"""The few building blocks that several families share."""

from __future__ import annotations

from torch import nn


def conv_bn(
    channels: int, out: int, kernel: int = 3, *, stride: int = 1, groups: int = 1, relu: bool = False
) -> nn.Sequential:
    """Convolution without bias, batch norm and, if asked, ReLU; padded to keep the size at stride 1."""
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def conv_bn_relu(channels: int, out: int, kernel: int = 3, *, stride: int = 1) -> nn.Sequential:
    """`conv_bn` followed by ReLU."""
    return conv_bn(channels, out, kernel, stride=stride, relu=True)


def classifier(channels: int, middle: int, classes: int) -> nn.Sequential:
    """3x3 convolution to `middle` channels, dropout in training, 1x1 to one logit a class."""
    return nn.Sequential(conv_bn_relu(channels, middle), nn.Dropout2d(0.1), nn.Conv2d(middle, classes, 1))
