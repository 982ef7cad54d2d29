"""BiSeNetV2: a wide shallow detail branch, a narrow deep semantic branch, and a layer that guides one by the other.

Yu et al., "BiSeNet V2: Bilateral Network with Guided Aggregation", IJCV 2021, arXiv 2004.02147.
The paper states 21.15 GFLOPs (multiply-adds) at 1024x512 and no parameter count. No power-of-two head width gives
that figure; its reference implementations (CoinCheung/BiSeNet, mmsegmentation) have a head of 1024 channels:
3.36 M parameters and 24.60 G multiply-adds with 19 classes, which `base` reproduces. `light` has the head of 128
channels of PaddleSeg and zh320: 2.31 M and 16.01 G.

Where the paper is silent this follows both reference implementations: ReLU after the last depthwise convolution of
a gather-and-expansion layer, BN and ReLU on the context embedding's last convolution, ReLU on the aggregation's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family
from edgeseg.models.layers import classifier, conv_bn, conv_bn_relu
from edgeseg.spec import SizeRule

EXPANSION = 6


class Stem(nn.Module):
    """Semantic branch, stage 1 and 2: a strided convolution beside a max pooling, concatenated. Stride 4."""

    def __init__(self, out: int) -> None:
        super().__init__()
        self.first = conv_bn_relu(3, out, stride=2)
        self.left = nn.Sequential(conv_bn_relu(out, out // 2, 1), conv_bn_relu(out // 2, out, stride=2))
        self.right = nn.MaxPool2d(3, 2, 1)
        self.fuse = conv_bn_relu(2 * out, out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, out, H/4, W/4)."""
        x = self.first(x)
        return self.fuse(torch.cat([self.left(x), self.right(x)], 1))  # type: ignore[no-any-return]


class GatherExpand(nn.Module):
    """Gather-and-expansion layer: 3x3, depthwise expansion by 6, 1x1 projection, residual. Stride 1 or 2."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        wide = channels * EXPANSION
        depthwise = [conv_bn(channels, wide, stride=stride, groups=channels, relu=stride == 1)]
        if stride == 2:
            depthwise.append(conv_bn(wide, wide, groups=wide, relu=True))
        self.gather = conv_bn_relu(channels, channels)
        self.expand = nn.Sequential(*depthwise)
        self.project = conv_bn(wide, out, 1)
        self.shortcut = (
            nn.Sequential(conv_bn(channels, channels, stride=2, groups=channels), conv_bn(channels, out, 1))
            if stride == 2
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H/stride, W/stride)."""
        return F.relu(self.project(self.expand(self.gather(x))) + self.shortcut(x))


class ContextEmbedding(nn.Module):
    """Adds the global mean of the picture, as a vector, to every position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.embed = conv_bn_relu(channels, channels, 1)
        self.last = conv_bn_relu(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        mean = self.norm(x.mean((2, 3), keepdim=True))
        return self.last(self.embed(mean) + x)  # type: ignore[no-any-return]


class GuidedAggregation(nn.Module):
    """Bilateral guided aggregation: each branch gates the other, at both of their scales."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def separable() -> nn.Sequential:
            return nn.Sequential(
                conv_bn(channels, channels, groups=channels), nn.Conv2d(channels, channels, 1, bias=False)
            )

        self.detail_keep, self.semantic_keep = separable(), separable()
        self.detail_down = nn.Sequential(conv_bn(channels, channels, stride=2), nn.AvgPool2d(3, 2, 1))
        self.semantic_up = conv_bn(channels, channels)
        self.last = conv_bn_relu(channels, channels)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """(N, C, H/8, W/8) and (N, C, H/32, W/32) to (N, C, H/8, W/8). "Upsample" is bilinear in the paper."""
        fine = self.detail_keep(detail) * torch.sigmoid(enlarge(self.semantic_up(semantic)))
        coarse = self.detail_down(detail) * torch.sigmoid(self.semantic_keep(semantic))
        return self.last(fine + enlarge(coarse))  # type: ignore[no-any-return]


def enlarge(x: Tensor) -> Tensor:
    """Four times the size in each direction."""
    return F.interpolate(x, scale_factor=4.0, mode="bilinear", align_corners=False)


def detail_branch() -> nn.Sequential:
    """Eight 3x3 convolutions to 128 channels at stride 8."""
    plan = [(3, 64, 2), (64, 64, 1), (64, 64, 2), (64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 128, 1)]
    return nn.Sequential(*(conv_bn_relu(channels, out, stride=stride) for channels, out, stride in plan))


class BiSeNetV2(nn.Module):
    """The network. `head`: channels before the classifier. `auxiliary`: the four booster heads, for training."""

    def __init__(self, classes: int, *, head: int, booster: int, auxiliary: bool = False) -> None:
        super().__init__()
        self.detail = detail_branch()
        self.stem = Stem(16)
        self.stage3 = nn.Sequential(GatherExpand(16, 32, 2), GatherExpand(32, 32, 1))
        self.stage4 = nn.Sequential(GatherExpand(32, 64, 2), GatherExpand(64, 64, 1))
        self.stage5 = nn.Sequential(GatherExpand(64, 128, 2), *(GatherExpand(128, 128, 1) for _ in range(3)))
        self.context = ContextEmbedding(128)
        self.aggregate = GuidedAggregation(128)
        self.head = classifier(128, head, classes)
        self.boosters = nn.ModuleList(
            classifier(channels, booster, classes) for channels in (16, 32, 64, 128) if auxiliary
        )

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list, with those of the boosters behind."""
        stem = self.stem(x)
        stage3 = self.stage3(stem)
        stage4 = self.stage4(stage3)
        stage5 = self.stage5(stage4)
        logits: Tensor = self.head(self.aggregate(self.detail(x), self.context(stage5)))
        if not self.training:
            return logits
        features = (stem, stage3, stage4, stage5)
        return [logits, *(booster(feature) for booster, feature in zip(self.boosters, features))]


FAMILY = Family(
    name="bisenetv2",
    variants={"base": {"head": 1024, "booster": 128}, "light": {"head": 128, "booster": 64}},
    module=BiSeNetV2,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 2004.02147; compared with CoinCheung/BiSeNet and mmsegmentation",
)
