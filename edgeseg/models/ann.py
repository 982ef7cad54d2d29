"""ANN: non-local blocks whose keys and values are pooled to 110 positions, one of them across two stages.

Zhu et al., "Asymmetric Non-local Neural Networks for Semantic Segmentation", ICCV 2019, arXiv 1908.07678. The last
stage attends to the third (fusion), and then the map to itself, where key and query are one projection. With a dilated
ResNet50 43.86 M parameters and 370.4 G multiply-adds at 1024x512 (mmsegmentation).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.models.dilated import DilatedNet, dilated_family
from edgeseg.models.family import Reference
from edgeseg.models.layers import attend, conv_bn, conv_bn_relu, pool_to_bins
from edgeseg.models.resnet import resnet_of_code

BINS = (1, 3, 6, 8)


def pooled(x: Tensor) -> Tensor:
    """(N, C, H, W) to the means of the bins of all sizes, (N, C, 110)."""
    return torch.cat([pool_to_bins(x, bins).flatten(2) for bins in BINS], 2)


class AsymmetricAttention(nn.Module):
    """Attention of all positions of one map to the pooled ones of another, beside the first map.

    channels: of the first map; source: of the other; 0 where it is the first, whose query then is the key, too.
    """

    def __init__(self, channels: int, inner: int, *, source: int = 0, relu: bool) -> None:
        super().__init__()
        self.key = conv_bn_relu(source or channels, inner, 1)
        self.query = conv_bn_relu(channels, inner, 1) if source else None
        self.value = nn.Conv2d(source or channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        self.fuse = conv_bn(2 * channels, channels, 1, relu=relu)

    def forward(self, x: Tensor, source: Tensor) -> Tensor:
        """(N, channels, H, W) and (N, source, H, W) to (N, channels, H, W)."""
        key = self.key(source)
        query = key if self.query is None else self.query(x)
        context = attend(query, pooled(key), pooled(self.value(source)), query.shape[1] ** -0.5)
        return self.fuse(torch.cat([self.out(context), x], 1))  # type: ignore[no-any-return]


class AsymmetricHead(nn.Module):
    """Fusion of two stages, 3x3 convolution, attention of the map to itself, classifier."""

    def __init__(self, source: int, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.fusion = AsymmetricAttention(channels, width // 2, source=source, relu=False)
        self.narrow = nn.Sequential(nn.Dropout2d(0.1), conv_bn_relu(channels, width))
        self.context = AsymmetricAttention(width, width // 2, relu=True)
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of the stages, the last two (N, source, h, w) and (N, channels, h, w), to logits (N, C, h, w)."""
        x = self.narrow(self.fusion(features[-1], features[-2]))
        return self.classify(self.context(x, x))  # type: ignore[no-any-return]


def ann(classes: int, *, depth: int, width: int, channels: int, auxiliary: bool = False) -> DilatedNet:
    """The network. depth, width: of the ResNet. channels: of the head."""
    backbone = resnet_of_code("mmseg", depth, width)
    decoder = AsymmetricHead(backbone.channels[2], backbone.channels[3], channels, classes)
    return DilatedNet(backbone, decoder, classes, auxiliary=auxiliary)


FAMILY = dilated_family(
    "ann",
    ann,
    group="attention",
    origin="arXiv 1908.07678; compared with mmsegmentation",
    reference=Reference(
        "Cityscapes test 81.3 mIoU (ResNet101); val 77.3 (mmsegmentation, ResNet50)",
        counts={"resnet50": (43.86, 370.4)},
        licence="Apache-2.0",
    ),
)
