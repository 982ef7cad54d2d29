"""DeconvNet: VGG16 with batch norm down to a vector, and its mirror image, which unpools at the places of the maxima.

Noh et al., "Learning Deconvolution Network for Semantic Segmentation", ICCV 2015, arXiv 1505.04366. 251.8 M parameters
and 32.8 G multiply-adds at 224x224 with 21 classes, counted on a rebuild from the authors' prototxt. Its transposed
convolutions have stride 1; the 3x3 ones are convolutions here, with weights that are transposed and turned around.
"""

from __future__ import annotations

from torch import nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import conv_bn_relu
from edgeseg.models.segnet import MirroredVGG
from edgeseg.models.vgg import MULTIPLES
from edgeseg.spec import SizeRule

COUNTS = (3, 3, 3, 2, 2)  # convolutions of the decoder's stages, the deepest first
WINDOW = 7  # of the first fully connected layer, positions at 1/32


def deconvnet(classes: int, *, width: int, hidden: int, auxiliary: bool = False) -> MirroredVGG:
    """The network. width: see MirroredVGG; hidden: channels of the fully connected layers."""
    deep = width * MULTIPLES[-1]
    first = conv_bn_relu(deep, hidden, WINDOW)
    first[0].padding = (0, 0)  # type: ignore[assignment]
    last = nn.ConvTranspose2d(hidden, deep, WINDOW, bias=False)
    middle = nn.Sequential(first, conv_bn_relu(hidden, hidden, 1), last, nn.BatchNorm2d(deep), nn.ReLU(inplace=True))
    return MirroredVGG(width, COUNTS, middle, nn.Conv2d(width, classes, 1))


FAMILY = Family(
    name="deconvnet",
    group="encoder-decoder",
    variants={"base": {"width": 64, "hidden": 4096}, "tiny": {"width": 4, "hidden": 32}},
    module=deconvnet,
    size_rule=SizeRule(multiple=32, minimum=224),
    stride=1,
    align_corners=False,
    origin="arXiv 1505.04366; compared with the authors' prototxt",
    reference=Reference(
        "Pascal VOC 2012 test 69.6 mIoU",
        counts={"base": (251.8, 32.8)},
        licence="unknown",
        size=(224, 224),
        classes=21,
    ),
)
