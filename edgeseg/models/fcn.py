"""FCN on a dilated ResNet: convolutions on the last map at 1/8 of the size, and nothing else.

Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, arXiv 1411.4038, whose networks are in
the family fcnvgg; this is what later papers call FCN and take as the baseline. 47.13 M parameters and 395 G
multiply-adds at 1024x512 with ResNet50 as mmsegmentation builds it (`port=mmseg`), which joins the head with the
backbone's map again. torchvision's head (`port=torchvision`) is one convolution: 32.96 M parameters.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.dilated import ContextHead, DilatedNet
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import classifier
from edgeseg.models.resnet import BACKBONE, resnet_of_code
from edgeseg.spec import SizeRule


class PlainHead(nn.Module):
    """torchvision's head: 3x3 convolution, dropout, 1x1 to logits."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.classify = classifier(channels, width, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The stages' features, of which the last (N, channels, h, w) counts, to logits (N, C, h, w)."""
        return self.classify(features[-1])  # type: ignore[no-any-return]


HEADS = {"mmseg": ContextHead, "torchvision": PlainHead}


def fcn(
    classes: int, *, depth: int, width: int, channels: int, trunk: str, port: str, auxiliary: bool = False
) -> DilatedNet:
    """The network. depth, width: of the ResNet. trunk: whose, a key of resnet.CODES. port: whose head, of HEADS.

    channels: inside the head.
    """
    if port not in HEADS:
        raise UnknownNameError.among("port of fcn", port, HEADS)
    backbone = resnet_of_code(trunk, depth, width)
    head = HEADS[port](backbone.channels[-1], channels, classes)
    return DilatedNet(backbone, head, classes, auxiliary=auxiliary)


MMSEG = {"trunk": "mmseg", "port": "mmseg"}

FAMILY = Family(
    name="fcn",
    group="context",
    variants={
        "resnet50": {"depth": 50, "width": 64, "channels": 512, **MMSEG},
        "resnet18": {"depth": 18, "width": 64, "channels": 128, **MMSEG},
        "resnet101": {"depth": 101, "width": 64, "channels": 512, **MMSEG},
        "tiny": {"depth": 10, "width": 8, "channels": 16, **MMSEG},
    },
    module=fcn,
    size_rule=SizeRule(multiple=8, minimum=32),
    stride=8,
    align_corners=False,
    origin="arXiv 1411.4038; compared with mmsegmentation and torchvision",
    reference=Reference(
        "Cityscapes val 73.6 mIoU (ResNet50, mmsegmentation); COCO with the classes of VOC 60.5 (torchvision)",
        counts={"resnet50": (47.13, 395), "resnet50?trunk=torchvision&port=torchvision": (32.96, None)},
        licence="Apache-2.0",
    ),
    auxiliary=("auxiliary.",),
    encoder=BACKBONE,
)
