"""PSPNet: the last map joined with its means over 1, 2x2, 3x3 and 6x6 bins, so that each position sees the scene.

Zhao et al., "Pyramid Scene Parsing Network", CVPR 2017, arXiv 1612.01105. With ResNet50 and 19 classes mmsegmentation
has 46.61 M parameters and 357 G multiply-adds at 1024x512; the author's own port (hszhao/semseg, `port=semseg`) a wider
stem, another rule of dilation and aligned corners. segmentation_models_pytorch has another network of the same plan
(`port=smp`): pools behind the second stage of a ResNet that is not dilated, and a 3x3 classifier.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.dilated import DilatedNet
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import PyramidPooling, classifier, conv_bn_relu
from edgeseg.models.resnet import BACKBONE, resnet_of_code
from edgeseg.spec import SizeRule

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

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__(channels, channels // len(BINS), classes)
        self.pools[0] = nn.Sequential(nn.Conv2d(channels, channels // len(BINS), 1), nn.ReLU(inplace=True))
        fuse = conv_bn_relu(2 * channels, width, 1)
        self.classify = nn.Sequential(fuse, nn.Dropout2d(0.2), nn.Conv2d(width, classes, 3, padding=1))


HEADS = {"mmseg": PyramidHead, "semseg": AlignedHead, "smp": PortedHead}


def pspnet(
    classes: int, *, depth: int, width: int, channels: int, trunk: str, port: str, auxiliary: bool = False
) -> DilatedNet:
    """The network. depth, width: of the ResNet. trunk: whose, a key of resnet.CODES. port: whose head, of HEADS.

    channels: inside the head.
    """
    if port not in HEADS:
        raise UnknownNameError.among("port of pspnet", port, HEADS)
    backbone = resnet_of_code(trunk, depth, width, stages=2 if port == "smp" else 4)
    head = HEADS[port](backbone.channels[-1], channels, classes)
    return DilatedNet(backbone, head, classes, auxiliary=auxiliary)


MMSEG = {"trunk": "mmseg", "port": "mmseg"}

FAMILY = Family(
    name="pspnet",
    group="context",
    variants={
        "resnet50": {"depth": 50, "width": 64, "channels": 512, **MMSEG},
        "resnet18": {"depth": 18, "width": 64, "channels": 128, **MMSEG},
        "resnet34": {"depth": 34, "width": 64, "channels": 512, "trunk": "smp", "port": "smp"},
        "resnet101": {"depth": 101, "width": 64, "channels": 512, **MMSEG},
        "tiny": {"depth": 10, "width": 8, "channels": 16, **MMSEG},
    },
    module=pspnet,
    size_rule=SizeRule(multiple=8, minimum=32),
    stride=8,
    align_corners=False,
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
    auxiliary=("auxiliary.",),
    encoder=BACKBONE,
)
