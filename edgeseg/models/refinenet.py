"""RefineNet: a ResNet whose features are merged from the coarsest to the finest by blocks of residual convolutions.

Lin et al., "RefineNet: Multi-Path Refinement Networks for High-Resolution Semantic Segmentation", CVPR 2017, arXiv
1611.06612. With 19 classes at 1024x512: on ResNet101 118.0 M parameters and 526 G multiply-adds, on ResNet50 99.0 M,
counted by the configuration that the authors released. No checkpoint format: their code and weights are for
non-commercial use alone.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import enlarge
from edgeseg.models.resnet import BACKBONE, ResNet, kaiming_init
from edgeseg.spec import SizeRule

SMALL = 0.1  # of the usual first weights, on paths that are added: without batch norm the sums would grow at each


def conv3(channels: int, out: int, scale: float = 1.0) -> nn.Conv2d:
    """3x3 convolution with bias. scale: of its first weights."""
    layer = nn.Conv2d(channels, out, 3, 1, 1)
    kaiming_init(layer)
    with torch.no_grad():
        layer.weight *= scale
    return layer


class ResidualUnit(nn.Module):
    """Residual convolution unit: ReLU and 3x3 twice, with a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv3(channels, channels), conv3(channels, channels, SMALL)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x + self.second(F.relu(self.first(F.relu(x))))  # type: ignore[no-any-return]


class ChainedPooling(nn.Module):
    """Chained residual pooling: each step pools and convolves what the last one gave; all steps are added."""

    def __init__(self, channels: int, steps: int = 4) -> None:
        super().__init__()
        self.steps = nn.ModuleList(conv3(channels, channels, SMALL) for _ in range(steps))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        total = step = F.relu(x)
        for conv in self.steps:
            step = conv(F.max_pool2d(step, 5, 1, 2))
            total = total + step
        return total


class Refine(nn.Module):
    """One scale: the backbone's features, adapted, and what the coarser scale gave (`below` channels, 0 for none)."""

    def __init__(self, channels: int, below: int, out: int) -> None:
        super().__init__()
        self.adapt = nn.Sequential(conv3(channels, out), ResidualUnit(out), ResidualUnit(out))
        self.fuse = nn.ModuleList(conv3(c, out) for c in (out, below) if below)
        self.refine = nn.Sequential(ChainedPooling(out), *(ResidualUnit(out) for _ in range(3)))

    def forward(self, features: Tensor, coarser: Tensor | None) -> Tensor:
        """(N, channels, H, W) and (N, below, H/2, W/2) to (N, out, H, W)."""
        x = self.adapt(features)
        if coarser is not None:
            fine, coarse = self.fuse
            x = fine(x)
            x = x + enlarge(coarse(coarser), x)
        return self.refine(x)  # type: ignore[no-any-return]


class RefineNet(nn.Module):
    """The network. depth, width: of the ResNet. channels: of the blocks; the coarsest one has twice as many."""

    def __init__(self, classes: int, *, depth: int, width: int, channels: int, auxiliary: bool = False) -> None:
        super().__init__()
        self.backbone = ResNet(depth, stem=width, width=width)
        belows, outs = (0, 2 * channels, channels, channels), (2 * channels, channels, channels, channels)
        self.blocks = nn.ModuleList(map(Refine, reversed(self.backbone.channels), belows, outs))
        self.dropout = nn.Dropout(0.5)
        self.classify = conv3(channels, classes)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/4, W/4); in training a list of these."""
        coarser: Tensor | None = None
        for block, features in zip(self.blocks, reversed(self.backbone(x))):
            coarser = block(features, coarser)
        logits: Tensor = self.classify(self.dropout(coarser))
        return [logits] if self.training else logits


FAMILY = Family(
    name="refinenet",
    group="encoder-decoder",
    variants={
        "resnet101": {"depth": 101, "width": 64, "channels": 256},
        "resnet50": {"depth": 50, "width": 64, "channels": 256},
        "tiny": {"depth": 10, "width": 8, "channels": 16},
    },
    module=RefineNet,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=4,
    align_corners=False,
    origin="arXiv 1611.06612; counted by the authors' released configuration",
    reference=Reference(
        "Cityscapes test 73.6 mIoU, Pascal VOC 2012 test 83.4 (ResNet101)",
        counts={"resnet101": (118.0, 526), "resnet50": (99.0, None)},
        licence="LicenseRef-non-commercial",
    ),
    encoder=BACKBONE,
)
