"""Parts of the networks that keep a branch at 1/8 of the size beside one that goes down to 1/64: DDRNet and PIDNet.

The last block of a layer has no ReLU: branches exchange what comes before it. Both reference implementations resize
to an eighth of the input, so that sides need only be multiples of 8: a map of odd size has half of it, rounded up.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.layers import conv_bn, conv_bn_relu, enlarge
from edgeseg.spec import SizeRule

STRIDE = 8
SIZES = SizeRule(multiple=STRIDE, minimum=128)
POOLS = ((5, 2), (9, 4), (17, 8))  # windows and strides of the pyramid pooling, between the map itself and its mean


class Residual(nn.Module):
    """A body with a shortcut, which is a 1x1 convolution where the shape changes. rectified: ReLU at the end."""

    def __init__(self, body: nn.Module, channels: int, out: int, stride: int, *, rectified: bool) -> None:
        super().__init__()
        same = stride == 1 and channels == out
        self.body = body
        self.shortcut = nn.Identity() if same else conv_bn(channels, out, 1, stride=stride)
        self.rectified = rectified

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H/stride, W/stride)."""
        x = self.body(x) + self.shortcut(x)
        return F.relu(x) if self.rectified else x


def basic(channels: int, out: int, stride: int = 1, *, rectified: bool = False) -> Residual:
    """Two 3x3 convolutions; the first has the stride."""
    body = nn.Sequential(conv_bn_relu(channels, out, stride=stride), conv_bn(out, out))
    return Residual(body, channels, out, stride, rectified=rectified)


def bottleneck(channels: int, out: int, stride: int = 1, *, rectified: bool = False) -> Residual:
    """1x1, 3x3, 1x1, half as wide inside. No block has a ReLU at the end, wherever it stands: `rectified` is idle."""
    width = out // 2
    narrow, wide = conv_bn_relu(channels, width, 1), conv_bn(width, out, 1)
    body = nn.Sequential(narrow, conv_bn_relu(width, width, stride=stride), wide)
    return Residual(body, channels, out, stride, rectified=False)


def layer(block: Callable[..., Residual], channels: int, out: int, depth: int, stride: int = 1) -> nn.Sequential:
    """`depth` blocks: the first has the stride, the last has no ReLU."""
    ends = [n < depth - 1 for n in range(depth)]
    first = block(channels, out, stride, rectified=ends[0])
    return nn.Sequential(first, *(block(out, out, rectified=rectified) for rectified in ends[1:]))


def stem(width: int, depth: int) -> nn.Sequential:
    """Two strided convolutions and two layers: (N, 3, H, W) to (N, 2 width, H/8, W/8), not negative."""
    return nn.Sequential(
        conv_bn_relu(3, width, stride=2),
        conv_bn_relu(width, width, stride=2),
        layer(basic, width, width, depth),
        nn.ReLU(),
        layer(basic, width, 2 * width, depth, stride=2),
        nn.ReLU(),
    )


def bn_relu_conv(channels: int, out: int, kernel: int = 1, *, groups: int = 1) -> nn.Sequential:
    """Batch norm, ReLU and a convolution without bias."""
    conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), conv)


def head(channels: int, middle: int, outputs: int) -> nn.Sequential:
    """3x3 and 1x1 convolutions, each behind batch norm and ReLU."""
    return nn.Sequential(
        bn_relu_conv(channels, middle, 3), nn.BatchNorm2d(middle), nn.ReLU(inplace=True), nn.Conv2d(middle, outputs, 1)
    )


class PyramidPooling(nn.Module):
    """The map and its means over five sizes of windows, concatenated and narrowed, with a shortcut.

    parallel: each scale is added to the finest one, and one grouped convolution processes all (PIDNet's PAPPM); else
    each is added to the scale before, which a convolution of its own has processed (DDRNet's DAPPM).
    """

    def __init__(self, channels: int, branch: int, out: int, *, parallel: bool) -> None:
        super().__init__()
        coarse = len(POOLS) + 1
        self.scales = nn.ModuleList(bn_relu_conv(channels, branch) for _ in range(coarse + 1))
        if parallel:
            self.process = nn.ModuleList([bn_relu_conv(coarse * branch, coarse * branch, 3, groups=coarse)])
        else:
            self.process = nn.ModuleList(bn_relu_conv(branch, branch, 3) for _ in range(coarse))
        self.compress = bn_relu_conv((coarse + 1) * branch, out)
        self.shortcut = bn_relu_conv(channels, out)
        self.parallel = parallel

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H, W)."""
        means = [F.avg_pool2d(x, window, stride, window // 2) for window, stride in POOLS]
        means.append(x.mean((2, 3), keepdim=True))
        fine, *coarse = (scale(mean) for scale, mean in zip(self.scales, [x, *means]))
        coarse = [enlarge(each, x) for each in coarse]
        if self.parallel:
            (process,) = self.process
            maps = [fine, process(torch.cat([each + fine for each in coarse], 1))]
        else:
            maps = [fine]
            for each, process in zip(coarse, self.process):
                maps.append(process(each + maps[-1]))
        return self.compress(torch.cat(maps, 1)) + self.shortcut(x)  # type: ignore[no-any-return]
