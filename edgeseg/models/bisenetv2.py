"""BiSeNetV2: a wide shallow detail branch, a narrow deep semantic branch, and a layer that guides one by the other.

Yu et al., "BiSeNet V2: Bilateral Network with Guided Aggregation", IJCV 2021, arXiv 2004.02147.
The paper states 21.15 GFLOPs (multiply-adds) at 1024x512 and no parameter count. No power-of-two head width gives
that figure; its reference implementations (CoinCheung/BiSeNet, mmsegmentation) have a head of 1024 channels:
3.36 M parameters and 24.60 G multiply-adds with 19 classes, which `base` reproduces. `light` has the head of 128
channels of PaddleSeg and zh320: 2.31 M and 16.01 G.

`large` is BiSeNetV2-L as far as the paper can be read: twice the channels, three times the depth. No code for it was
published, and the paper does not say which layers are repeated. Taken as the layers of each stage of the semantic
branch it has 20.18 M parameters and 86.18 G multiply-adds, where the paper states 118.51 G: a reading, no more.

Where the paper is silent this follows both reference implementations: ReLU after the last depthwise convolution of
a gather-and-expansion layer, BN and ReLU on the context embedding's last convolution, ReLU on the aggregation's.
Where the two differ from each other or between their versions, a keyword argument of the network says which.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import Enlarge, classifier, conv_bn, conv_bn_relu
from edgeseg.spec import SizeRule

EXPANSION = 6
SHUFFLED = 8  # PixelShuffle's factor: a value for each pixel of a logit's square


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
    """Adds the global mean of the image, as a vector, to every position."""

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
    """Bilateral guided aggregation: each branch gates the other, at both of their scales.

    upsample: a name of `layers.UPSAMPLINGS`; the paper says bilinear. bias: whether the two 1x1 convolutions have one.
    """

    def __init__(self, channels: int, upsample: str = "bilinear", bias: bool = False) -> None:
        super().__init__()

        def separable() -> nn.Sequential:
            return nn.Sequential(
                conv_bn(channels, channels, groups=channels), nn.Conv2d(channels, channels, 1, bias=bias)
            )

        self.semantic_enlarge, self.coarse_enlarge = (Enlarge(4.0, upsample, channels) for _ in range(2))
        self.detail_keep, self.semantic_keep = separable(), separable()
        self.detail_down = nn.Sequential(conv_bn(channels, channels, stride=2), nn.AvgPool2d(3, 2, 1))
        self.semantic_up = conv_bn(channels, channels)
        self.last = conv_bn_relu(channels, channels)

    def forward(self, detail: Tensor, semantic: Tensor) -> Tensor:
        """(N, C, H/8, W/8) and (N, C, H/32, W/32) to (N, C, H/8, W/8)."""
        fine = self.detail_keep(detail) * torch.sigmoid(self.semantic_enlarge(self.semantic_up(semantic)))
        coarse = self.detail_down(detail) * torch.sigmoid(self.semantic_keep(semantic))
        return self.last(fine + self.coarse_enlarge(coarse))  # type: ignore[no-any-return]


def detail_branch(width: float = 1.0) -> nn.Sequential:
    """Eight 3x3 convolutions to 128 channels, times `width`, at stride 8."""
    plan = [(64, 2), (64, 1), (64, 2), (64, 1), (64, 1), (128, 2), (128, 1), (128, 1)]
    outs = [round(width * out) for out, _ in plan]
    channels = [3, *outs[:-1]]
    return nn.Sequential(*(conv_bn_relu(c, out, stride=stride) for c, out, (_, stride) in zip(channels, outs, plan)))


def semantic_stage(channels: int, out: int, layers: int) -> nn.Sequential:
    """`layers` gather-and-expansion layers, the first one of stride 2."""
    return nn.Sequential(GatherExpand(channels, out, 2), *(GatherExpand(out, out, 1) for _ in range(layers - 1)))


class BiSeNetV2(nn.Module):
    """The network.

    head: channels before the classifier; booster: likewise in the heads for training, which `auxiliary` adds.
    width: times the paper's channels; depth: times its layers in each stage of the semantic branch. upsample,
    pointwise_bias: see GuidedAggregation. shuffle: the classifier gives 8x8 values a class, which PixelShuffle
    spreads, and the logits have stride 1 in place of 8.
    """

    def __init__(
        self,
        classes: int,
        *,
        head: int,
        booster: int,
        width: float = 1.0,
        depth: int = 1,
        upsample: str = "bilinear",
        pointwise_bias: bool = False,
        shuffle: bool = False,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        c2, c3, c4, c5 = channels = [round(width * usual) for usual in (16, 32, 64, 128)]
        self.detail = detail_branch(width)
        self.stem = Stem(c2)
        self.stage3 = semantic_stage(c2, c3, 2 * depth)
        self.stage4 = semantic_stage(c3, c4, 2 * depth)
        self.stage5 = semantic_stage(c4, c5, 4 * depth)
        self.context = ContextEmbedding(c5)
        self.aggregate = GuidedAggregation(c5, upsample, pointwise_bias)
        self.head = classifier(c5, head, classes * SHUFFLED**2 if shuffle else classes)
        if shuffle:
            self.head.append(nn.PixelShuffle(SHUFFLED))
        self.boosters = nn.ModuleList(classifier(c, booster, classes) for c in channels if auxiliary)

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


USUAL = {"width": 1.0, "depth": 1, "upsample": "bilinear", "pointwise_bias": False, "shuffle": False}

FAMILY = Family(
    name="bisenetv2",
    group="real-time",
    variants={
        "base": {"head": 1024, "booster": 128, **USUAL},
        "light": {"head": 128, "booster": 64, **USUAL},
        "large": {"head": 1024, "booster": 128, **USUAL, "width": 2.0, "depth": 3},
    },
    module=BiSeNetV2,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 2004.02147; compared with CoinCheung/BiSeNet and mmsegmentation",
    reference=Reference(
        "Cityscapes test 72.6 mIoU, 156 FPS at 1024x512 (GTX 1080 Ti)",
        counts={"base": (3.36, 24.60), "light": (2.31, 16.01)},
        licence="MIT",
    ),
    auxiliary=("boosters.",),
)
