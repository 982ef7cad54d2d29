"""DeepLab v3: the last map through convolutions of several dilations at once, and through its mean.

Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv 1706.05587. With ResNet50, the
dilations of an output stride of 8 and 19 classes mmsegmentation has 65.75 M parameters and 539 G multiply-adds at
1024x512; torchvision (`port=torchvision`) has 256 channels in place of 512 and another 1x1 convolution, 39.64 M
parameters with 21 classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from edgeseg.models.dilated import PORTED, Head, dilated_family, ported_net
from edgeseg.models.family import Reference
from edgeseg.models.layers import classifier, conv_bn_relu, enlarge, pool_to_bins

RATES = (12, 24, 36)
Block = Callable[[int, int, int], nn.Module]


def dilated_conv(channels: int, out: int, dilation: int) -> nn.Module:
    """3x3 convolution with batch norm and ReLU."""
    return conv_bn_relu(channels, out, dilation=dilation)


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling: the mean, a 1x1 convolution and one of each dilation, concatenated.

    block: makes a convolution of (channels, width, dilation).
    """

    def __init__(self, channels: int, width: int, block: Block = dilated_conv, *, rates: Sequence[int] = RATES) -> None:
        super().__init__()
        self.mean = conv_bn_relu(channels, width, 1)
        self.branches = nn.ModuleList([conv_bn_relu(channels, width, 1)])
        self.branches.extend(block(channels, width, rate) for rate in rates)
        self.channels = width * (len(self.branches) + 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, `self.channels`, H, W)."""
        mean = enlarge(self.mean(pool_to_bins(x, 1)), x)
        return torch.cat([mean, *(branch(x) for branch in self.branches)], 1)


class AtrousHead(nn.Module):
    """The pyramid, 3x3 convolution, 1x1 to logits. project: narrow the pyramid by a 1x1 convolution first."""

    def __init__(self, channels: int, width: int, classes: int, *, project: bool) -> None:
        super().__init__()
        self.pyramid = AtrousPyramid(channels, width)
        joined = self.pyramid.channels
        self.project: nn.Module = nn.Identity()
        if project:
            self.project = nn.Sequential(conv_bn_relu(joined, width, 1), nn.Dropout(0.5))
            joined = width
        self.classify = classifier(joined, width, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The stages' features, of which the last (N, channels, h, w) counts, to logits (N, C, h, w)."""
        return self.classify(self.project(self.pyramid(features[-1])))  # type: ignore[no-any-return]


HEADS: dict[str, Head] = {
    "mmseg": partial(AtrousHead, project=False),
    "torchvision": partial(AtrousHead, project=True),
}

FAMILY = dilated_family(
    "deeplabv3",
    partial(ported_net, "deeplabv3", HEADS),
    group="context",
    origin="arXiv 1706.05587; compared with mmsegmentation and torchvision",
    reference=Reference(
        "Cityscapes test 81.3 mIoU; val 79.3 (ResNet50, mmsegmentation)",
        counts={"resnet50": (65.75, 539), "resnet50?channels=256&trunk=torchvision&port=torchvision": (39.64, None)},
        licence="Apache-2.0",
    ),
    variants=PORTED,
    minimum=32,
)
