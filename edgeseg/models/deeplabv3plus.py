"""DeepLab v3+: DeepLab v3 with separable convolutions, and a decoder that restores detail at 1/4 of the size.

Chen et al., "Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation", ECCV 2018,
arXiv 1802.02611. With 19 classes mmsegmentation has 41.23 M parameters and 352 G multiply-adds at 1024x512 with
ResNet50, 12.32 M and 108 G with ResNet18. segmentation_models_pytorch (`port=smp`) has the last stage alone dilated,
no norm inside a separable convolution, one in the decoder in place of two, and aligned corners: 22.44 M and 63.2 G
with ResNet34.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.deeplabv3 import AtrousPyramid
from edgeseg.models.dilated import MMSEG, DilatedNet
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import conv_bn_relu, enlarge, separable
from edgeseg.models.resnet import BACKBONE, resnet_of_code
from edgeseg.spec import SizeRule


def dilated_separable(channels: int, out: int, dilation: int) -> nn.Module:
    """A separable convolution with norm and ReLU behind both of its parts."""
    return separable(channels, out, dilation=dilation)


def bare_separable(channels: int, out: int, dilation: int = 1) -> nn.Module:
    """A separable convolution with norm and ReLU behind the 1x1 alone."""
    depthwise = nn.Conv2d(channels, channels, 3, 1, dilation, dilation, groups=channels, bias=False)
    return nn.Sequential(depthwise, conv_bn_relu(channels, out, 1))


class DecoderHead(nn.Module):
    """The pyramid, enlarged and joined with the first stage's map, separable convolutions, 1x1 to logits.

    channels: of the first stage and the last. low: channels that the first stage's map is narrowed to.
    """

    upsample = "bilinear"

    def __init__(self, channels: tuple[int, int], width: int, low: int, classes: int) -> None:
        super().__init__()
        fine, deep = channels
        self.pyramid = AtrousPyramid(deep, width, dilated_separable)
        self.narrow: nn.Module = conv_bn_relu(self.pyramid.channels, width)
        self.low = conv_bn_relu(fine, low, 1)
        self.refine = nn.Sequential(separable(width + low, width), separable(width, width))
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))

    def forward(self, features: list[Tensor]) -> Tensor:
        """The stages' features, of which the first and the last count, to logits (N, C, H/4, W/4)."""
        low = self.low(features[0])
        deep = enlarge(self.narrow(self.pyramid(features[-1])), low, self.upsample)
        return self.classify(self.refine(torch.cat([deep, low], 1)))  # type: ignore[no-any-return]


class PortedHead(DecoderHead):
    """The head of segmentation_models_pytorch."""

    upsample = "corners"

    def __init__(self, channels: tuple[int, int], width: int, low: int, classes: int) -> None:
        super().__init__(channels, width, low, classes)
        self.pyramid = AtrousPyramid(channels[1], width, bare_separable)
        project = conv_bn_relu(self.pyramid.channels, width, 1)
        self.narrow = nn.Sequential(project, nn.Dropout(0.5), bare_separable(width, width))
        self.refine = nn.Sequential(bare_separable(width + low, width))


# Whose head -> the head, and input pixels per position of the last stage.
PORTS = {"mmseg": (DecoderHead, 8), "smp": (PortedHead, 16)}


def deeplabv3plus(
    classes: int, *, depth: int, width: int, channels: int, low: int, trunk: str, port: str, auxiliary: bool = False
) -> DilatedNet:
    """The network. depth, width: of the ResNet. trunk: whose, a key of resnet.CODES. port: whose head, of PORTS.

    channels: inside the head. low: see DecoderHead.
    """
    if port not in PORTS:
        raise UnknownNameError.among("port of deeplabv3plus", port, PORTS)
    head, output_stride = PORTS[port]
    backbone = resnet_of_code(trunk, depth, width, output_stride=output_stride)
    ends = (backbone.channels[0], backbone.channels[-1])
    return DilatedNet(backbone, head(ends, channels, low, classes), classes, auxiliary=auxiliary)


FAMILY = Family(
    name="deeplabv3plus",
    group="encoder-decoder",
    variants={
        "resnet50": {"depth": 50, "width": 64, "channels": 512, "low": 48, **MMSEG},
        "resnet18": {"depth": 18, "width": 64, "channels": 128, "low": 12, **MMSEG},
        "resnet34": {"depth": 34, "width": 64, "channels": 256, "low": 48, "trunk": "smp", "port": "smp"},
        "resnet101": {"depth": 101, "width": 64, "channels": 512, "low": 48, **MMSEG},
        "tiny": {"depth": 10, "width": 8, "channels": 16, "low": 8, **MMSEG},
    },
    module=deeplabv3plus,
    size_rule=SizeRule(multiple=16, minimum=32),
    stride=4,
    align_corners=False,
    origin="arXiv 1802.02611; compared with mmsegmentation and segmentation_models_pytorch",
    reference=Reference(
        "VOC 2012 test 89.0 mIoU; Cityscapes val 80.1 (ResNet50), 76.9 (ResNet18) of mmsegmentation",
        counts={"resnet50": (41.23, 352), "resnet18": (12.32, 108), "resnet34": (22.44, 63.2)},
        licence="Apache-2.0",
    ),
    auxiliary=("auxiliary.",),
    encoder=BACKBONE,
)
