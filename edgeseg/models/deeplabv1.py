"""DeepLab v1 with a large field of view: VGG16 whose last stages are dilated in place of strided, and one dilated head.

Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", ICLR 2015, arXiv
1412.7062. 20.5 M parameters and 251 G multiply-adds at 1024x512 with 19 classes. The paper's dense CRF, which refines
the labels at full size, is `--crf` of stream and eval, for any network.

The authors' Caffe network pools with ceiling, so that sides of 8 k + 1 have k + 1 logits; here sides are multiples of 8
with half-pixel centres, which has the same weights. `vgg16bn` has batch norm in place of biases, for training from
random weights.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import conv_bn_relu
from edgeseg.models.resnet import kaiming_init
from edgeseg.models.vgg import DEPTHS, MULTIPLES, conv_relu, vgg_stages
from edgeseg.spec import SizeRule

STRIDES = (2, 2, 2, 1, 1)  # of the pools behind the stages
DILATIONS = (1, 1, 1, 1, 2)


class DeepLabV1(nn.Module):
    """The network.

    width: channels of the first stage. head: channels of the two convolutions before the classifier. dilation: of the
    first of them; 12 in the paper. depths: convolutions of each stage. norm: batch norm in place of biases.
    """

    def __init__(
        self,
        classes: int,
        *,
        width: int,
        head: int,
        dilation: int,
        depths: tuple[int, ...],
        norm: bool,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        unit = conv_bn_relu if norm else conv_relu
        self.stages = vgg_stages(width, norm=norm, depths=depths, dilations=DILATIONS)
        self.head = nn.Sequential(
            unit(MULTIPLES[-1] * width, head, dilation=dilation),
            nn.Dropout(0.5),
            unit(head, head, 1),
            nn.Dropout(0.5),
        )
        self.classify = nn.Conv2d(head, classes, 1)
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list of them alone."""
        for stage, stride in zip(self.stages, STRIDES):
            x = F.max_pool2d(stage(x), 3, stride, 1)
        x = F.avg_pool2d(x, 3, 1, 1)
        logits: Tensor = self.classify(self.head(x))
        return [logits] if self.training else logits


VGG16 = {"width": 64, "head": 1024, "dilation": 12, "depths": DEPTHS}

FAMILY = Family(
    name="deeplabv1",
    group="context",
    variants={
        "vgg16": {**VGG16, "norm": False},
        "vgg16bn": {**VGG16, "norm": True},
        "tiny": {"width": 8, "head": 64, "dilation": 4, "depths": (1, 1, 1, 1, 1), "norm": False},
    },
    module=DeepLabV1,
    size_rule=SizeRule(multiple=8, minimum=32),
    stride=8,
    align_corners=False,
    origin="arXiv 1412.7062; the structure of the authors' prototxt",
    reference=Reference(
        "PASCAL VOC 2012 test 71.6 mIoU (multi-scale, with the dense CRF)",
        counts={"vgg16": (20.51, 251)},
        licence="unknown",
    ),
)
