"""FCN on a dilated ResNet: convolutions on the last map at 1/8 of the size, and nothing else.

Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, arXiv 1411.4038, whose networks are in
the family fcnvgg; this is what later papers call FCN and take as the baseline. 47.13 M parameters and 395 G
multiply-adds at 1024x512 with ResNet50 as mmsegmentation builds it (`port=mmseg`), which joins the head with the
backbone's map again. torchvision's head (`port=torchvision`) is one convolution: 32.96 M parameters.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from edgeseg.models.dilated import PORTED, ContextHead, Head, dilated_family, ported_net
from edgeseg.models.family import Reference
from edgeseg.models.layers import classifier


class PlainHead(nn.Module):
    """torchvision's head: 3x3 convolution, dropout, 1x1 to logits."""

    def __init__(self, channels: int, width: int, classes: int) -> None:
        super().__init__()
        self.classify = classifier(channels, width, classes)

    def forward(self, features: list[Tensor]) -> Tensor:
        """The stages' features, of which the last (N, channels, h, w) counts, to logits (N, C, h, w)."""
        return self.classify(features[-1])  # type: ignore[no-any-return]


HEADS: dict[str, Head] = {"mmseg": ContextHead, "torchvision": PlainHead}

FAMILY = dilated_family(
    "fcn",
    partial(ported_net, "fcn", HEADS),
    group="context",
    origin="arXiv 1411.4038; compared with mmsegmentation and torchvision",
    reference=Reference(
        "Cityscapes val 73.6 mIoU (ResNet50, mmsegmentation); COCO with the classes of VOC 60.5 (torchvision)",
        counts={"resnet50": (47.13, 395), "resnet50?trunk=torchvision&port=torchvision": (32.96, None)},
        licence="Apache-2.0",
    ),
    variants=PORTED,
    minimum=32,
)
