"""What the light nets CGNet, DABNet and ESPNet share: norms with PReLU, image pools, and the stages between them."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

EPSILON = 1e-3  # of all their batch norms


def norm_prelu(channels: int) -> nn.Sequential:
    """Batch norm and PReLU with one slope a channel."""
    return nn.Sequential(nn.BatchNorm2d(channels, eps=EPSILON), nn.PReLU(channels))


def plain_conv(
    channels: int,
    out: int,
    kernel: int | tuple[int, int] = 3,
    *,
    stride: int = 1,
    dilation: int = 1,
    depthwise: bool = False,
) -> nn.Conv2d:
    """Convolution without bias, padded to keep the size at stride 1."""
    sides = (kernel, kernel) if isinstance(kernel, int) else kernel
    dilations = tuple(dilation if side > 1 else 1 for side in sides)
    padding = tuple(rate * (side // 2) for side, rate in zip(sides, dilations))
    groups = channels if depthwise else 1
    return nn.Conv2d(channels, out, sides, stride, padding, dilations, groups, bias=False)  # type: ignore[arg-type]


def conv_norm_prelu(channels: int, out: int, kernel: int = 3, *, stride: int = 1) -> nn.Sequential:
    """`plain_conv` and `norm_prelu`."""
    return nn.Sequential(plain_conv(channels, out, kernel, stride=stride), *norm_prelu(out))


def shrunk(image: Tensor, times: int) -> Tensor:
    """(N, C, H, W) to (N, C, H / 2^times, W / 2^times): means of 3x3 windows whose padding counts, repeated.

    A convolution with equal weights, which int8 holds exactly. A pooling that pads a frame OpenVINO (2026.4.1) moves
    before the subtraction of the mean colour, which changes the border; it does so if the padding is a Pad, too.
    """
    channels = image.shape[1]
    weight = image.new_full((channels, 1, 3, 3), 1 / 9)
    for _ in range(times):
        image = F.conv2d(image, weight, stride=2, padding=1, groups=channels)
    return image
