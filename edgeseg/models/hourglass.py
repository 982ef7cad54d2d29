"""Stacked hourglasses: encoder and decoder several times in a row, each of which corrects the last one's logits.

Newell et al., "Stacked Hourglass Networks for Human Pose Estimation", ECCV 2016, arXiv 1603.06937; a joint's map there
is a class here. With 19 classes at 1024x512: two stacks 6.57 M parameters and 66.8 G multiply-adds, eight 25.45 M and
219.9 G. The files of its PyTorch port hold shortcuts beyond those, which nothing reads.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import conv_bn_relu
from edgeseg.models.resnet import conv, kaiming_init
from edgeseg.spec import SizeRule


class Residual(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, each behind batch norm and ReLU, with a shortcut."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        half = out // 2
        self.body = nn.Sequential(
            *(nn.BatchNorm2d(channels), nn.ReLU(inplace=True), conv(channels, half, 1)),
            *(nn.BatchNorm2d(half), nn.ReLU(inplace=True), conv(half, half, 3)),
            *(nn.BatchNorm2d(half), nn.ReLU(inplace=True), nn.Conv2d(half, out, 1)),
        )
        self.shortcut = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H, W)."""
        return self.body(x) + self.shortcut(x)  # type: ignore[no-any-return]


class Hourglass(nn.Module):
    """Residual blocks at this scale, beside those of the scales below it. depth: how many these are."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.beside, self.before, self.behind = (Residual(channels, channels) for _ in range(3))
        self.below = Hourglass(channels, depth - 1) if depth > 1 else Residual(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        low = self.behind(self.below(self.before(F.max_pool2d(x, 2))))
        return self.beside(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")  # type: ignore[no-any-return]


class StackedHourglass(nn.Module):
    """The network.

    stacks: hourglasses in a row; each has a classifier, and all of them are trained. channels: of the hourglasses.
    depth: scales below 1/4.
    """

    def __init__(self, classes: int, *, stacks: int, channels: int, depth: int, auxiliary: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_bn_relu(3, channels // 4, 7, stride=2),
            Residual(channels // 4, channels // 2),
            nn.MaxPool2d(2),
            Residual(channels // 2, channels // 2),
            Residual(channels // 2, channels),
        )
        self.stacks = nn.ModuleList(
            nn.Sequential(Hourglass(channels, depth), Residual(channels, channels), conv_bn_relu(channels, channels, 1))
            for _ in range(stacks)
        )
        self.merge_features = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(stacks - 1))
        self.merge_logits = nn.ModuleList(nn.Conv2d(classes, channels, 1) for _ in range(stacks - 1))
        self.classify = nn.ModuleList(nn.Conv2d(channels, classes, 1) for _ in range(stacks))
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/4, W/4); in training a list of those of every stack, the last one first."""
        x, outputs = self.stem(x), []
        for n, (stack, classify) in enumerate(zip(self.stacks, self.classify)):
            features = stack(x)
            outputs.append(classify(features))
            if n < len(self.merge_features):
                x = x + self.merge_features[n](features) + self.merge_logits[n](outputs[n])
        return outputs[::-1] if self.training else outputs[-1]


FAMILY = Family(
    name="hourglass",
    group="encoder-decoder",
    variants={
        "two": {"stacks": 2, "channels": 256, "depth": 4},
        "eight": {"stacks": 8, "channels": 256, "depth": 4},
        "tiny": {"stacks": 2, "channels": 32, "depth": 2},
    },
    module=StackedHourglass,
    size_rule=SizeRule(multiple=64, minimum=128),
    stride=4,
    align_corners=False,
    origin="arXiv 1603.06937; compared with princeton-vl/pytorch_stacked_hourglass",
    reference=Reference(
        "MPII pose 90.9 PCKh (eight stacks)",
        counts={"two": (6.57, 66.8), "eight": (25.45, 219.9)},
        licence="BSD-3-Clause",
    ),
)
