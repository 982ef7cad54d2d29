"""The few building blocks that several families share."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError

UPSAMPLINGS: dict[str, dict[str, Any]] = {
    "bilinear": {"mode": "bilinear", "align_corners": False},
    "corners": {"mode": "bilinear", "align_corners": True},
    "nearest": {"mode": "nearest"},
}


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


class Enlarge(nn.Module):
    """A map `factor` times as large in each direction, by a rule of `UPSAMPLINGS`."""

    def __init__(self, factor: float, upsample: str) -> None:
        super().__init__()
        if upsample not in UPSAMPLINGS:
            raise UnknownNameError.among("upsampling", upsample, UPSAMPLINGS)
        self.factor, self.rule = factor, UPSAMPLINGS[upsample]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, factor H, factor W)."""
        return F.interpolate(x, scale_factor=self.factor, **self.rule)
