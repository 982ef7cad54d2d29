"""The decoders of LiteSeg. Each takes the image and the features at 1/8, 1/16 and 1/32, and gives two maps.

The first map, at 1/8, has `out` channels and is for the classifier; the second is coarser, has `width` channels and is
for the auxiliary one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.out = width
        self.mean = conv_bn_relu(channels[-1], width, 1)
        self.narrow = nn.ModuleList(conv_bn(each, width, 1) for each in channels)
        self.smooth = nn.ModuleList(smooth(width) for _ in channels)

    def forward(self, _: Tensor, features: Sequence[Tensor]) -> Maps:
        """The maps at 1/8 and 1/16."""
        fine, middle, deep = (narrow(feature) for narrow, feature in zip(self.narrow, features))
        x = self.smooth[2](deep + self.mean(features[2].mean((2, 3), keepdim=True)))
        middle = self.smooth[1](enlarge(x, middle) + middle)
        return self.smooth[0](enlarge(middle, fine) + fine), middle


class LRASPP(nn.Module):
    """The deepest features, weighted by their mean, beside the finest ones.

    Howard et al., "Searching for MobileNetV3", ICCV 2019, arXiv 1905.02244, section 6.4. Their encoder is dilated; here
    the deepest features are at 1/32.
    """

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


DECODERS: dict[str, Callable[[Sequence[int], int], Sum | LRASPP | UAFM | Detail]] = {
    "sum": Sum,
    "lraspp": LRASPP,
    "uafm": UAFM,
    "detail": Detail,
}
