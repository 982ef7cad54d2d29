"""PSPNet: the last map joined with its means over 1, 2x2, 3x3 and 6x6 bins, so that each position sees the scene.

Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, arXiv 1612.01105. With ResNet50 and 19 classes mmsegmentation
has 46.61 M parameters and 357 G multiply-adds at 1024x512; the author's own port (hszhao/semseg, `port=semseg`) a wider
stem, another rule of dilation and aligned corners. segmentation_models_pytorch has another network of the same plan
(`port=smp`): pools behind the second stage of a ResNet that is not dilated, and a 3x3 classifier.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from edgeseg.models.dilated import PORTED, Head, dilated_family, ported_net
from edgeseg.models.family import Reference
from edgeseg.models.layers import PyramidPooling, classifier, conv_bn_relu

BINS = (1, 2, 3, 6)


class PyramidHead(nn.Module):
    """Pyramid pooling, 3x3 convolution, 1x1 to logits. width: channels of each pooled map, and before the logits."""

    def __init__(self, channels: int, width: int, classes: int, upsample: str = "bilinear") -> None:
        super().__init__()
        self.pools = PyramidPooling(channels, width, BINS, upsample)
        self.classify = classifier(channels + len(BINS) * width, width, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The stages' features, of which the last (N, channels, h, w) counts, to logits (N, C, h, w)."""
        x = features[-1]
        return self.classify(torch.cat([x, *self.pools(x)], 1))  # type: ignore[no-any-return]


class AlignedHead(PyramidHead):
    """The same head; pooled maps are resized with aligned corners."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__(channels, width, classes, "corners")


class PortedHead(AlignedHead):
    """The head of segmentation_models_pytorch. width: channels before the logits."""

    stages = 2

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__(channels, channels // len(BINS), classes)
        self.pools[0] = nn.Sequential(nn.Conv2d(channels, channels // len(BINS), 1), nn.ReLU(inplace=True))
        fuse = conv_bn_relu(2 * channels, width, 1)
        self.classify = nn.Sequential(fuse, nn.Dropout2d(0.2), nn.Conv2d(width, classes, 3, padding=1))


HEADS: dict[str, Head] = {"mmseg": PyramidHead, "semseg": AlignedHead, "smp": PortedHead}

SMP = {"depth": 34, "width": 64, "channels": 512, "trunk": "smp", "port": "smp"}

FAMILY = dilated_family(
    "pspnet",
    partial(ported_net, "pspnet", HEADS),
    group="context",
    origin="arXiv 1612.01105; compared with hszhao/semseg, mmsegmentation and segmentation_models_pytorch",
    reference=Reference(
        "Cityscapes test 80.2 mIoU (ResNet101); val 78.6 (ResNet50), 74.9 (ResNet18) of mmsegmentation",
        counts={
            "resnet50": (46.61, 357),
            "resnet18": (12.64, 108),
            "resnet50?trunk=semseg&port=semseg": (46.7, None),
        },
        licence="MIT",
    ),
    variants={**PORTED, "resnet34": SMP},
    minimum=32,
)
