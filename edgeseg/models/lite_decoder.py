"""The decoders of LiteSeg. Each takes the image and the features from 1/`finest` to 1/32, and gives two maps.

The first map, at 1/`finest`, has `out` channels and is for the classifier; the second is coarser, has `width` channels
and is for the auxiliary one.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.models.bisenetv1 import ContextPath, Fusion, spatial_path
from edgeseg.models.layers import conv_bn, conv_bn_relu, enlarge
from edgeseg.models.ppliteseg import AttentionFusion, SimplePyramidPooling

Maps = tuple[Tensor, Tensor]


def smooth(channels: int) -> nn.Sequential:
    """Depthwise 3x3, then 1x1 with ReLU."""
    return nn.Sequential(conv_bn(channels, channels, groups=channels), conv_bn_relu(channels, channels, 1))


class Sum(nn.Module):
    """Narrowed features are summed on the way up; the mean of the deepest one is added to it."""

    finest = 8

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.out = width
        self.mean = conv_bn_relu(channels[-1], width, 1)
        self.narrow = nn.ModuleList(conv_bn(each, width, 1) for each in channels)
        self.smooth = nn.ModuleList(smooth(width) for _ in channels)

    def forward(self, _: Tensor, features: Sequence[Tensor]) -> Maps:
        """The maps of the two finest features."""
        *finer, deep = (narrow(feature) for narrow, feature in zip(self.narrow, features))
        *steps, last = self.smooth
        maps = [last(deep + self.mean(features[-1].mean((2, 3), keepdim=True)))]
        for step, feature in zip(reversed(steps), reversed(finer)):
            maps.append(step(enlarge(maps[-1], feature) + feature))
        return maps[-1], maps[-2]


class Pyramid(Sum):
    """The same down to 1/4, for thin things: a feature pyramid (Lin et al., arXiv 1612.03144)."""

    finest = 4


class LRASPP(nn.Module):
    """The deepest features, weighted by their mean, beside the finest ones.

    Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv 1905.02244, section 6.4. Their encoder is dilated; here
    the deepest features are at 1/32.
    """

    finest = 8

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.out = 2 * width
        self.deep, self.fine = conv_bn_relu(channels[-1], width, 1), conv_bn_relu(channels[0], width, 1)
        self.channel_weights = nn.Conv2d(channels[-1], width, 1, bias=False)

    def forward(self, _: Tensor, features: Sequence[Tensor]) -> Maps:
        """The maps at 1/8 and 1/32."""
        fine, _, deep = features
        context = self.deep(deep) * torch.sigmoid(self.channel_weights(deep.mean((2, 3), keepdim=True)))
        return torch.cat([enlarge(context, fine), self.fine(fine)], 1), context


class UAFM(nn.Module):
    """Pyramid pooling, and on the way up features mixed by their similarity: the decoder of PP-LiteSeg."""

    finest = 8

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        fine, middle, deep = channels
        self.out = width
        self.pyramid = SimplePyramidPooling(deep, width)
        self.fuse16, self.fuse8 = AttentionFusion(middle, width, width), AttentionFusion(fine, width, width)

    def forward(self, _: Tensor, features: Sequence[Tensor]) -> Maps:
        """The maps at 1/8 and 1/16."""
        fine, middle, deep = features
        middle = self.fuse16(middle, self.pyramid(deep))
        return self.fuse8(fine, middle), middle


class Detail(nn.Module):
    """A context path on the encoder and a path that sees the image at high resolution: the decoder of BiSeNetV1."""

    finest = 8

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.out = width
        self.context = ContextPath(nn.Identity(), channels, width, "bilinear")  # its backbone is the encoder
        self.spatial = spatial_path((width // 2, width // 2, width, width))
        self.fusion = Fusion(2 * width, width, width, gate_relu=False)

    def forward(self, image: Tensor, features: Sequence[Tensor]) -> Maps:
        """The maps at 1/8 and 1/16."""
        _, context, coarse = self.context(features)
        return self.fusion(self.spatial(image), context), coarse


DECODERS: dict[str, type[Sum] | type[LRASPP] | type[UAFM] | type[Detail]] = {
    "sum": Sum,
    "pyramid": Pyramid,
    "lraspp": LRASPP,
    "uafm": UAFM,
    "detail": Detail,
}
