"""ICNet: a deep network on the image at a quarter of its size, and two shallow branches that restore the detail.

Zhao et al., "ICNet for Real-Time Semantic Segmentation on High-Resolution Images", ECCV 2018, arXiv 1704.08545. The
author's released network (hszhao/ICNet) has a ResNet50 of half its width: `resnet50-half`, 6.69 M parameters with 19
classes; the 26.5 M that later tables quote are megabytes. It differs in three ways, none of which has weights: the
stride of a bottleneck is in its 3x3 convolution, resizes are bilinear with half-pixel centres where Caffe's align the
corners, and so sides are multiples of 32 in place of those plus one.

Logits are at 1/8. The author enlarges the last map twice before the classifier and its logits four times behind it;
a 1x1 convolution and an interpolation may change places, so that nothing finer than 1/8 is lost.

The port of mmsegmentation is another network of the same plan (`port=mmseg`): 24.9 M parameters and 18.6 G
multiply-adds at 1024x512 with ResNet18, 47.5 M and 30.6 G with ResNet50.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import PyramidPooling, classifier, conv_bn, conv_bn_relu, enlarge
from edgeseg.models.resnet import conv, kaiming_init, resnet_of_code
from edgeseg.spec import SizeRule

BINS = (1, 2, 3, 6)
FUSED = 128
BRANCH = 256


def halve(x: Tensor) -> Tensor:
    """Half the size: with half-pixel centres the bilinear resize by 0.5 is the mean of 2x2, which is cheaper."""
    return F.avg_pool2d(x, 2)


def pool_evenly(x: Tensor, bins: int) -> Tensor:
    """The means of `bins` x `bins` windows, all of one size; of fewer where the map has fewer positions.

    As the author's windows: they overlap where the side does not divide. Adaptive pooling has windows of unlike sizes
    there, which the exporter writes as gathers and masks; this is one AveragePool at every size, for every engine.
    """
    sides = x.shape[2:]
    counts = [min(bins, side) for side in sides]
    strides = [side // count for side, count in zip(sides, counts)]
    kernels = [side - (count - 1) * stride for side, count, stride in zip(sides, counts, strides)]
    return F.avg_pool2d(x, kernels, strides)


def detail_branch() -> nn.Sequential:
    """The image at its full size through three strided convolutions: 1/8."""
    return nn.Sequential(*(conv_bn_relu(channels, out, stride=2) for channels, out in ((3, 32), (32, 32), (32, 64))))


class CascadeFusion(nn.Module):
    """Cascade feature fusion: the deeper map is refined by a dilated convolution and added to the finer one.

    rectified: both pass a ReLU before they are added, too.
    """

    def __init__(self, deep: int, fine: int, *, rectified: bool = False) -> None:
        super().__init__()
        self.deep = nn.Sequential(conv(deep, FUSED, 3, dilation=2), nn.BatchNorm2d(FUSED))
        self.fine = conv_bn(fine, FUSED, 1)
        if rectified:
            self.deep.append(nn.ReLU(inplace=True))
            self.fine.append(nn.ReLU(inplace=True))

    def forward(self, deep: Tensor, fine: Tensor) -> Tensor:
        """(N, deep, h, w), enlarged already, and (N, fine, h, w) to (N, 128, h, w)."""
        return F.relu(self.deep(deep) + self.fine(fine))


class ICNet(nn.Module):
    """The author's network.

    depth: of the ResNet, a key of resnet.DEPTHS. divisor: of its widths. pyramid: channels behind the pyramid pooling.
    auxiliary: the cascade label guidance, classifiers at 1/16 and 1/8, for training.
    """

    def __init__(self, classes: int, *, depth: int, divisor: int, pyramid: int, auxiliary: bool = False) -> None:
        super().__init__()
        width = 64 // divisor
        self.backbone = resnet_of_code("semseg", depth, width)
        _, fine, _, deep = self.backbone.channels
        self.pyramid: nn.Module = conv_bn_relu(deep, pyramid, 1)
        self.detail = detail_branch()
        self.fuse_quarter = CascadeFusion(pyramid, fine)
        self.fuse_half = CascadeFusion(FUSED, 64)
        self.classify: nn.Module = nn.Conv2d(FUSED, classes, 1)
        self.guidance = nn.ModuleList(nn.Conv2d(channels, classes, 1) for channels in (pyramid, FUSED) if auxiliary)
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list, with those of the guidance behind."""
        half = self.half_branch(halve(x))
        quarter = enlarge(self.quarter_branch(half), half)
        fused = self.fuse_quarter(quarter, half)
        detail = self.detail(x)
        fused = enlarge(fused, detail)
        logits: Tensor = self.classify(self.fuse_half(fused, detail))
        if not self.training:
            return logits
        return [logits, *(guide(feature) for guide, feature in zip(self.guidance, (quarter, fused)))]

    def half_branch(self, x: Tensor) -> Tensor:
        """The image at half size, up to the first block of the second stage: 1/16."""
        x = self.backbone.stage(1)(self.backbone.shallow(x))
        first, *_ = self.backbone.stage(2).children()
        return first(x)  # type: ignore[no-any-return]

    def quarter_branch(self, x: Tensor) -> Tensor:
        """The half branch's map at half its size through the rest of the stages and the pyramid pooling: 1/32."""
        x = halve(x)
        _, *rest = self.backbone.stage(2).children()
        for stage in (*rest, self.backbone.stage(3), self.backbone.stage(4)):
            x = stage(x)
        return self.pool(x)

    def pool(self, x: Tensor) -> Tensor:
        """The pyramid pooling: the map and its pooled versions summed, then a 1x1 convolution."""
        return self.pyramid(sum((enlarge(pool_evenly(x, bins), x) for bins in BINS), x))  # type: ignore[no-any-return]


class PortedICNet(ICNet):
    """mmsegmentation's network: the author's, these parts exchanged. `pyramid`: channels of each pooled map.

    A narrower stem, whose pooling rounds up; the half branch ends behind the whole second stage; adaptive pools, each
    with a convolution, concatenated; more convolutions and ReLUs around the fusions, and one before the classifier.
    """

    def __init__(self, classes: int, *, depth: int, divisor: int, pyramid: int, auxiliary: bool = False) -> None:
        super().__init__(classes, depth=depth, divisor=divisor, pyramid=BRANCH, auxiliary=auxiliary)
        self.backbone = resnet_of_code("mmseg", depth, 64 // divisor, stem=64)
        self.backbone.maxpool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
        _, fine, _, deep = self.backbone.channels
        self.pools = PyramidPooling(deep, pyramid, BINS)
        fused = conv_bn_relu(deep + len(BINS) * pyramid, pyramid)
        self.pyramid = nn.Sequential(fused, conv_bn_relu(pyramid, BRANCH, 1))
        self.fuse_quarter = CascadeFusion(BRANCH, BRANCH, rectified=True)
        self.fuse_quarter.fine = nn.Sequential(conv_bn_relu(fine, BRANCH, 1), self.fuse_quarter.fine)
        self.fuse_half = CascadeFusion(FUSED, 64, rectified=True)
        self.classify = classifier(FUSED, FUSED, classes)
        kaiming_init(self)

    def half_branch(self, x: Tensor) -> Tensor:
        """The image at half size, through two stages: 1/16."""
        for stage in (self.backbone.shallow, self.backbone.stage(1), self.backbone.stage(2)):
            x = stage(x)
        return x

    def quarter_branch(self, x: Tensor) -> Tensor:
        """The half branch's map at half its size through the other two stages and the pyramid pooling: 1/32."""
        return self.pool(self.backbone.stage(4)(self.backbone.stage(3)(halve(x))))

    def pool(self, x: Tensor) -> Tensor:
        """The pyramid pooling: the pooled versions narrowed and the map concatenated, then two convolutions."""
        return self.pyramid(torch.cat([*self.pools(x), x], 1))  # type: ignore[no-any-return]


PORTS = {"author": ICNet, "mmseg": PortedICNet}


def icnet(classes: int, *, depth: int, divisor: int, pyramid: int, port: str, auxiliary: bool = False) -> ICNet:
    """The network as `port` has it, "author" or "mmseg"."""
    if port not in PORTS:
        raise UnknownNameError.among("port of icnet", port, PORTS)
    return PORTS[port](classes, depth=depth, divisor=divisor, pyramid=pyramid, auxiliary=auxiliary)


FAMILY = Family(
    name="icnet",
    group="real-time",
    variants={
        "resnet50-half": {"depth": 50, "divisor": 2, "pyramid": 256, "port": "author"},
        "resnet50": {"depth": 50, "divisor": 1, "pyramid": 512, "port": "author"},
        "resnet18": {"depth": 18, "divisor": 1, "pyramid": 256, "port": "author"},
        "resnet18-half": {"depth": 18, "divisor": 2, "pyramid": 128, "port": "author"},
    },
    module=icnet,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 1704.08545; compared with hszhao/ICNet and mmsegmentation",
    reference=Reference(
        "Cityscapes test 70.6 mIoU, 30.3 FPS at 2048x1024 (Titan X)",
        counts={"resnet50?pyramid=512&port=mmseg": (47.5, 30.6), "resnet18?pyramid=512&port=mmseg": (24.9, 18.6)},
        licence="unknown",
    ),
    auxiliary=("guidance.",),
)
