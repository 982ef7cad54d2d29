"""What the U-Nets share: encoders that keep a map of each scale, and the ways to enlarge one twice."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.layers import Enlarge, conv_bn_relu
from edgeseg.models.resnet import DEPTHS, ResNet

CONVOLUTIONS = "convolutions"  # the encoder of the paper; the others are ResNets, "resnet34"


def double_conv(channels: int, out: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with batch norm and ReLU: (N, channels, H, W) to (N, out, H, W)."""
    return nn.Sequential(conv_bn_relu(channels, out), conv_bn_relu(out, out))


def deconvolution(channels: int, out: int) -> nn.Sequential:
    """The 2x2 transposed convolution of stride 2, which has no overlap: four 1x1 convolutions, then interleaved.

    Written so it is quantised like any convolution.
    """
    return nn.Sequential(nn.Conv2d(channels, 4 * out, 1), nn.PixelShuffle(2))


def nearest(channels: int, out: int) -> nn.Module:
    """Repetition, which keeps the `channels`."""
    return Enlarge(2.0, "nearest")


def nearest_conv(channels: int, out: int) -> nn.Sequential:
    """Repetition, then a 3x3 convolution, batch norm and ReLU."""
    return nn.Sequential(nearest(channels, out), conv_bn_relu(channels, out))


def bilinear_conv(channels: int, out: int) -> nn.Sequential:
    """Interpolation, then a 1x1 convolution, batch norm and ReLU."""
    return nn.Sequential(Enlarge(2.0, "bilinear"), conv_bn_relu(channels, out, 1))


class ConvolutionEncoder(nn.Module):
    """Double convolutions with max poolings between them. `widths`: channels of each map, the finest first."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.stages = nn.ModuleList(double_conv(channels, out) for channels, out in zip((3, *widths), widths))
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to maps at 1, 1/2, 1/4, ..."""
        features: list[Tensor] = []
        for number, stage in enumerate(self.stages):
            x = stage(self.pool(x) if number else x)
            features.append(x)
        return features


class ResNetEncoder(ResNet):
    """A ResNet that gives the map of its stem, too. `widths`: channels of each map, the finest first."""

    def __init__(self, depth: int, width: int) -> None:
        super().__init__(depth, stem=width, width=width)
        self.widths = (width, *self.channels)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to maps at 1/2, 1/4, 1/8, 1/16 and 1/32."""
        features = [self.half_size(x)]
        x = self.maxpool(features[0])
        for number in (1, 2, 3, 4):
            x = self.stage(number)(x)
            features.append(x)
        return features


def encoder_from_name(name: str, width: int, scales: int) -> ConvolutionEncoder | ResNetEncoder:
    """ "convolutions" with `width` channels at full size, doubled at each of `scales`; or a ResNet, "resnet34"."""
    if name == CONVOLUTIONS:
        return ConvolutionEncoder([width * 2**n for n in range(scales)])
    resnets = {f"resnet{depth}": depth for depth in DEPTHS}
    if name not in resnets:
        raise UnknownNameError.among("encoder", name, [CONVOLUTIONS, *resnets])
    return ResNetEncoder(resnets[name], width)
