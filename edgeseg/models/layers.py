"""The few building blocks that several families share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError

RESIZES: dict[str, dict[str, Any]] = {
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


def attend(query: Tensor, key: Tensor, value: Tensor, scale: float = 1.0) -> Tensor:
    """Sums of values, weighted by the softmax of products of query and key over all positions of the key.

    (N, c, H, W), (N, c, M), (N, C, M) to (N, C, H, W). The plain products are what engines fuse to a kernel that does
    not store the (H W, M) weights.
    """
    weights = torch.softmax(query.flatten(2).transpose(1, 2) * scale @ key, 2)
    return (weights @ value.transpose(1, 2)).transpose(1, 2).reshape(*value.shape[:2], *query.shape[2:])


def enlarge(x: Tensor, like: Tensor, upsample: str = "bilinear") -> Tensor:
    """`x` at the height and width of `like`, by a rule of `RESIZES`."""
    return F.interpolate(x, (like.shape[2], like.shape[3]), **RESIZES[upsample])


def pool_to_bins(x: Tensor, bins: int) -> Tensor:
    """(N, C, H, W) to the means (N, C, bins, bins) of `F.adaptive_avg_pool2d`.

    An engine takes adaptive pools only where the bins divide the sides; the exporter writes others as hundreds of
    gathers. Their means are a matrix product with a constant. Two smaller ones, by rows and by columns, would be fused
    by TensorRT-RTX, which then tells the precision of neither. The constant is on the right: OpenVINO (2026.4.1) turns
    a map on the right into signed codes, and then computes its other readers wrongly.
    """
    height, width = x.shape[2:]
    if bins == 1:
        return x.mean((2, 3), keepdim=True)
    if height % bins == 0 and width % bins == 0:
        return F.avg_pool2d(x, (height // bins, width // bins))
    both = torch.kron(averaging(x, bins, height), averaging(x, bins, width))
    return (x.flatten(2) @ both.T).reshape(*x.shape[:2], bins, bins)


def averaging(x: Tensor, bins: int, size: int) -> Tensor:
    """The matrix (bins, size), of the type of `x`, that takes the mean of each bin of a row of `size` values."""
    matrix = torch.zeros(bins, size, dtype=x.dtype)
    for n in range(bins):
        start, stop = n * size // bins, -(-(n + 1) * size // bins)
        matrix[n, start:stop] = 1 / (stop - start)
    return matrix.to(x.device)


class PyramidPooling(nn.ModuleList):
    """The map pooled to each number of `bins`, narrowed to `width` channels and enlarged again.

    upsample: a rule of RESIZES. Its children narrow: 1x1 convolutions with batch norm and ReLU.
    """

    def __init__(self, channels: int, width: int, bins: Sequence[int], upsample: str = "bilinear") -> None:
        super().__init__(conv_bn_relu(channels, width, 1) for _ in bins)
        self.bins, self.upsample = tuple(bins), upsample

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, channels, H, W) to (N, width, H, W) for each number of bins."""
        return [enlarge(narrow(pool_to_bins(x, bins)), x, self.upsample) for narrow, bins in zip(self, self.bins)]


class Resize(nn.Module):
    """Interpolation by a rule of `RESIZES`."""

    def __init__(self, rule: str, factor: float) -> None:
        super().__init__()
        self.factor, self.rule = factor, RESIZES[rule]

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, factor H, factor W)."""
        return F.interpolate(x, scale_factor=self.factor, **self.rule)


class BedOfNails(nn.Module):
    """Each value in the first corner of a square of zeros, which come as channels that PixelShuffle spreads."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = int(factor)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, factor H, factor W)."""
        count, channels, height, width = x.shape
        nails = F.pad(x.unsqueeze(2), (0, 0, 0, 0, 0, self.factor**2 - 1))
        return F.pixel_shuffle(nails.reshape(count, channels * self.factor**2, height, width), self.factor)


class Transposed(nn.ConvTranspose2d):
    """A transposed convolution whose kernel is as wide as its stride, at first nearest neighbour, with the weights of
    torch's: no two of its kernels overlap, so it is a 1x1 convolution and a PixelShuffle, which engines quantise.
    """

    def __init__(self, channels: int, factor: float) -> None:
        super().__init__(channels, channels, int(factor), int(factor))
        with torch.no_grad():
            self.weight.copy_(torch.eye(channels)[..., None, None])
            self.bias.zero_()  # type: ignore[union-attr]

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(N, C, H, W) to (N, C, factor H, factor W)."""
        factor = self.kernel_size[0]
        weight = self.weight.flatten(1).T[..., None, None]
        return F.pixel_shuffle(F.conv2d(x, weight, self.bias.repeat_interleave(factor**2)), factor)  # type: ignore[union-attr]


UPSAMPLINGS: dict[str, Callable[[int, float], nn.Module]] = {
    "bilinear": lambda channels, factor: Resize("bilinear", factor),
    "corners": lambda channels, factor: Resize("corners", factor),
    "nearest": lambda channels, factor: Resize("nearest", factor),
    "bed_of_nails": lambda channels, factor: BedOfNails(factor),
    "transposed": Transposed,
}


class Enlarge(nn.Module):
    """A map `factor` times as large in each direction, by a method of `UPSAMPLINGS`; a transposed convolution learns.

    channels: of the map, which a method with weights must know. Max unpooling needs the places of a pooling (`unpool`).
    """

    def __init__(self, factor: float, upsample: str, channels: int = 0) -> None:
        super().__init__()
        if upsample not in UPSAMPLINGS:
            raise UnknownNameError.among("upsampling", upsample, UPSAMPLINGS)
        self.method = UPSAMPLINGS[upsample](channels, factor)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, factor H, factor W)."""
        return self.method(x)  # type: ignore[no-any-return]
