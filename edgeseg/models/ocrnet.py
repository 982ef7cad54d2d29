"""OCRNet: a coarse segmentation gathers a vector for each class, and each pixel reads those of the classes it is near.

Yuan et al., "Object-Contextual Representations for Semantic Segmentation", ECCV 2020, arXiv 1909.11065, on HRNet. With
19 classes at 1024x512: on W18 in the small version 6.38 M parameters and 88.9 G multiply-adds, on W18 12.08 M and
106.5 G, on W48 70.37 M and 324.5 G. The authors align the corners when they resize, mmsegmentation does not.

The products of regions and pixels have no constant factor and stay float in INT8.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.models import hrnet_trunk as trunk
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import conv_bn_relu
from edgeseg.models.resnet import kaiming_init
from edgeseg.spec import SizeRule


def regions(pixels: Tensor, logits: Tensor) -> Tensor:
    """(N, C, classes, 1): the mean of the pixels for each class, weighed by the softmax over all places."""
    weights = logits.flatten(2).softmax(2)
    return (pixels.flatten(2) @ weights.transpose(1, 2)).unsqueeze(3)


class RegionAttention(nn.Module):
    """Each pixel takes the mean of the regions, weighed by how near they are. keys: channels that are compared."""

    def __init__(self, channels: int, keys: int) -> None:
        super().__init__()
        self.query = nn.Sequential(conv_bn_relu(channels, keys, 1), conv_bn_relu(keys, keys, 1))
        self.key = nn.Sequential(conv_bn_relu(channels, keys, 1), conv_bn_relu(keys, keys, 1))
        self.value = conv_bn_relu(channels, keys, 1)
        self.out = conv_bn_relu(keys, channels, 1)
        self.scale = keys**-0.5

    def forward(self, pixels: Tensor, regions: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C, classes, 1) to (N, C, H, W)."""
        query, key, value = self.query(pixels), self.key(regions).flatten(2), self.value(regions).flatten(2)
        near = ((self.scale * key).transpose(1, 2) @ query.flatten(2)).softmax(1)
        return self.out((value @ near).unflatten(2, query.shape[2:]))  # type: ignore[no-any-return]


class OCRNet(nn.Module):
    """The network.

    channels: of the pixels that the regions are made of. keys: see RegionAttention. The others: see `trunk.HRNet`.
    """

    def __init__(
        self,
        classes: int,
        *,
        width: int,
        blocks: int,
        modules: Sequence[int],
        channels: int,
        keys: int,
        upsample: str,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = trunk.HRNet(width=width, blocks=blocks, modules=modules, upsample=upsample)
        concatenated = sum(self.backbone.widths)
        self.coarse = trunk.coarse_head(concatenated, classes)  # regions start as means of the whole image
        self.pixels = conv_bn_relu(concatenated, channels)
        self.attention = RegionAttention(channels, keys)
        self.join = conv_bn_relu(2 * channels, channels, 1)
        self.dropout = nn.Dropout2d(0.05)
        self.classify = nn.Conv2d(channels, classes, 1)
        for part in (self.pixels, self.attention, self.join, self.classify):
            kaiming_init(part)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/4, W/4); in training a list, with the coarse ones behind."""
        x = self.backbone(x)
        coarse, pixels = self.coarse(x), self.pixels(x)
        context = self.attention(pixels, regions(pixels, coarse))
        logits: Tensor = self.classify(self.dropout(self.join(torch.cat([context, pixels], 1))))
        return [logits, coarse] if self.training else logits


HEAD = {"channels": 512, "keys": 256, "upsample": "bilinear"}

FAMILY = Family(
    name="ocrnet",
    group="context",
    variants={
        "w18": {**trunk.W18, **HEAD},
        "w18-small": {**trunk.W18_SMALL, **HEAD},
        "w48": {**trunk.W48, **HEAD},
        "tiny": {**trunk.TINY, "channels": 32, "keys": 32, "upsample": "bilinear"},
    },
    module=OCRNet,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=4,
    align_corners=False,
    origin="arXiv 1909.11065; compared with HRNet-Semantic-Segmentation and mmsegmentation",
    reference=Reference(
        "Cityscapes test 82.4 mIoU (W48)",
        counts={"w18-small": (6.38, 88.9), "w18": (12.08, 106.5), "w48": (70.37, 324.5)},
        licence="MIT",
    ),
)
