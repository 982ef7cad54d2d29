"""The few building blocks that several families share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError

UPSAMPLINGS: dict[str, dict[str, Any]] = {
    "bilinear": {"mode": "bilinear", "align_corners": False},
    "corners": {"mode": "bilinear", "align_corners": True},
    "nearest": {"mode": "nearest"},
}


def conv_bn(
    channels: int,
    out: int,
    kernel: int = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    relu: bool = False,
) -> nn.Sequential:
    """Convolution without bias, batch norm and, if asked, ReLU; padded to keep the size at stride 1."""
    padding = dilation * (kernel // 2)
    layers: list[nn.Module] = [
        nn.Conv2d(channels, out, kernel, stride, padding, dilation, groups=groups, bias=False),
        nn.BatchNorm2d(out),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if relu else nn.Sequential(*layers)


def conv_bn_relu(channels: int, out: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """`conv_bn` followed by ReLU."""
    return conv_bn(channels, out, kernel, stride=stride, dilation=dilation, relu=True)


def separable(channels: int, out: int, *, stride: int = 1, dilation: int = 1, relu: bool = True) -> nn.Sequential:
    """A 3x3 depthwise convolution and a 1x1 one, both with batch norm.

    relu: behind the depthwise one, too; behind the 1x1 there is one always.
    """
    depthwise = conv_bn(channels, channels, stride=stride, dilation=dilation, groups=channels, relu=relu)
    return nn.Sequential(depthwise, conv_bn_relu(channels, out, 1))


def classifier(channels: int, middle: int, classes: int) -> nn.Sequential:
    """3x3 convolution to `middle` channels, dropout in training, 1x1 to one logit a class."""
    return nn.Sequential(conv_bn_relu(channels, middle), nn.Dropout2d(0.1), nn.Conv2d(middle, classes, 1))


def enlarge(x: Tensor, like: Tensor, upsample: str = "bilinear") -> Tensor:
    """`x` at the height and width of `like`, by a rule of `UPSAMPLINGS`."""
    return F.interpolate(x, (like.shape[2], like.shape[3]), **UPSAMPLINGS[upsample])


def pool_to_bins(x: Tensor, bins: int) -> Tensor:
    """(N, C, H, W) to the means (N, C, bins, bins) of `F.adaptive_avg_pool2d`.

    An engine takes adaptive pools only where the bins divide the sides; the exporter writes others as hundreds of
    gathers. Their means are matrix products with two constants.
    """
    height, width = x.shape[2:]
    if bins == 1:
        return x.mean((2, 3), keepdim=True)
    if height % bins == 0 and width % bins == 0:
        return F.avg_pool2d(x, (height // bins, width // bins))
    return averaging(x, bins, height) @ x @ averaging(x, bins, width).T


def averaging(x: Tensor, bins: int, size: int) -> Tensor:
    """The matrix (bins, size), of the type of `x`, that takes the mean of each bin of a row of `size` values."""
    matrix = torch.zeros(bins, size, dtype=x.dtype)
    for n in range(bins):
        start, stop = n * size // bins, -(-(n + 1) * size // bins)
        matrix[n, start:stop] = 1 / (stop - start)
    return matrix.to(x.device)


class PyramidPooling(nn.ModuleList):
    """The map pooled to each number of `bins`, narrowed to `width` channels and enlarged again.

    upsample: a rule of UPSAMPLINGS. Its children narrow: 1x1 convolutions with batch norm and ReLU.
    """

    def __init__(self, channels: int, width: int, bins: Sequence[int], upsample: str = "bilinear") -> None:
        super().__init__(conv_bn_relu(channels, width, 1) for _ in bins)
        self.bins, self.upsample = tuple(bins), upsample

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, channels, H, W) to (N, width, H, W) for each number of bins."""
        return [enlarge(narrow(pool_to_bins(x, bins)), x, self.upsample) for narrow, bins in zip(self, self.bins)]


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
