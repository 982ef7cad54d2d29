"""UPerNet: pyramid pooling of the coarsest map, a feature pyramid, and all four levels fused; on a Swin or a ResNet.

Xiao et al., "Unified Perceptual Parsing for Scene Understanding", ECCV 2018, arXiv 1807.10221, with the backbone of
`swin.py`, or the ResNet of the paper. With 150 classes and 512x512 mmsegmentation has 59.02 M parameters and 236.9 G
multiply-adds with Swin-T, 64.12 M and 237.9 G with ResNet50. On a Swin it and transformers compute the same function:
their files differ in names, and in the order of channels that a merge reads.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import PyramidPooling, classifier, conv_bn_relu, enlarge
from edgeseg.models.resnet import DEPTHS, ResNet, kaiming_init, resnet_of_code
from edgeseg.models.swin import Swin
from edgeseg.spec import SizeRule

BINS = (1, 2, 3, 6)
SWIN, RESNETS = "swin", {f"resnet{depth}": depth for depth in DEPTHS}


class UPerHead(nn.Module):
    """The decoder of maps with `channels` at 1/4, 1/8, 1/16 and 1/32; `width` channels inside."""

    def __init__(self, channels: tuple[int, ...], width: int, classes: int) -> None:
        super().__init__()
        *fine, coarse = channels
        self.pools = PyramidPooling(coarse, width, BINS)
        self.pyramid = conv_bn_relu(coarse + len(BINS) * width, width)
        self.laterals = nn.ModuleList(conv_bn_relu(each, width, 1) for each in fine)
        self.smooth = nn.ModuleList(conv_bn_relu(width, width) for _ in fine)
        self.fuse = conv_bn_relu(len(channels) * width, width)
        self.dropout = nn.Dropout2d(0.1)
        self.classify = nn.Conv2d(width, classes, 1)
        kaiming_init(self)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Four maps, finest first, to logits (N, classes, H/4, W/4)."""
        coarse = features[-1]
        levels = [self.pyramid(torch.cat([coarse, *self.pools(coarse)], 1))]
        for feature, lateral in zip(features[-2::-1], reversed(self.laterals)):
            fine = lateral(feature)
            levels.append(fine + enlarge(levels[-1], fine))
        smoothed = [smooth(level) for smooth, level in zip(self.smooth, levels[:0:-1])]
        first = smoothed[0]
        fused = self.fuse(torch.cat([first, *(enlarge(level, first) for level in (*smoothed[1:], levels[0]))], 1))
        return self.classify(self.dropout(fused))  # type: ignore[no-any-return]


class UPerNet(nn.Module):
    """The network.

    backbone: SWIN or a key of RESNETS. embed: channels of its first stage. depths, heads, window: of a Swin, see there.
    width: channels of the decoder.
    auxiliary: a classifier on the third stage, half as wide, for training.
    """

    def __init__(
        self,
        classes: int,
        *,
        backbone: str,
        embed: int,
        depths: tuple[int, ...],
        heads: tuple[int, ...],
        window: int,
        width: int,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        self.backbone: Swin | ResNet
        if backbone == SWIN:
            self.backbone = Swin(embed, depths, heads, window)
        elif backbone in RESNETS:
            self.backbone = resnet_of_code("mmseg", RESNETS[backbone], embed, output_stride=32)
        else:
            raise UnknownNameError.among("backbone of upernet", backbone, [SWIN, *RESNETS])
        channels = self.backbone.channels
        self.head = UPerHead(channels, width, classes)
        self.auxiliary = nn.ModuleList(classifier(channels[2], width // 2, classes) for _ in range(auxiliary))
        kaiming_init(self.auxiliary)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/4, W/4); in training a list, with those of the third stage behind."""
        features = self.backbone(x)
        logits: Tensor = self.head(features)
        return [logits, *(head(features[2]) for head in self.auxiliary)] if self.training else logits


def arguments(embed: int, depths: tuple[int, ...], heads: tuple[int, ...], width: int = 512) -> dict[str, object]:
    """The keyword arguments of a variant on a Swin with windows of 7x7."""
    return {"backbone": SWIN, "embed": embed, "depths": depths, "heads": heads, "window": 7, "width": width}


def resnet_arguments(backbone: str, embed: int = 64, width: int = 512) -> dict[str, object]:
    """The keyword arguments of a variant on a ResNet."""
    return {"backbone": backbone, "embed": embed, "depths": (), "heads": (), "window": 0, "width": width}


FAMILY = Family(
    name="upernet",
    group="transformer",
    variants={
        "swin-t": arguments(96, (2, 2, 6, 2), (3, 6, 12, 24)),
        "swin-s": arguments(96, (2, 2, 18, 2), (3, 6, 12, 24)),
        "swin-b": arguments(128, (2, 2, 18, 2), (4, 8, 16, 32)),
        "resnet50": resnet_arguments("resnet50"),
        "resnet101": resnet_arguments("resnet101"),
        "tiny": {**arguments(12, (2, 1, 2, 1), (1, 2, 2, 4), 16), "window": 4},
    },
    module=UPerNet,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=4,
    align_corners=False,
    origin="arXiv 2103.14030, 1807.10221; compared with transformers and mmsegmentation",
    reference=Reference(
        "ADE20K val 44.41 mIoU (Swin-T), 47.72 (S), 47.99 (B); 512x512",
        counts={"swin-t": (59.02, 236.9), "resnet50": (64.12, 237.9), "resnet101": (83.11, 257.3)},
        licence="Apache-2.0",
        size=(512, 512),
        classes=150,
    ),
    auxiliary=("auxiliary.",),
)
