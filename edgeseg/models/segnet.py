"""SegNet: VGG16 with batch norm, and its mirror image, which unpools at the places of the maxima.

Badrinarayanan et al., "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation", IEEE
Transactions on Pattern Analysis and Machine Intelligence 2017, arXiv 1511.00561. 29.45 M parameters and 325.5 G
multiply-adds at 1024x512, counted on a rebuild from the authors' prototxt. zh320's port has a batch norm and a ReLU
behind the classifier: another network.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import conv_bn_relu
from edgeseg.models.resnet import kaiming_init
from edgeseg.models.unpool import max_pool, max_unpool
from edgeseg.models.vgg import MULTIPLES, vgg_stages
from edgeseg.spec import SizeRule

COUNTS = (3, 3, 3, 2, 1)  # convolutions of the decoder's stages, the deepest first


def mirrored(enters: int, leaves: int, count: int) -> nn.Sequential:
    """`count` 3x3 convolutions with batch norm and ReLU, of which the last changes the channels."""
    widths = [enters] * count + [leaves]
    return nn.Sequential(*(conv_bn_relu(channels, out) for channels, out in pairwise(widths)))


class MirroredVGG(nn.Module):
    """VGG16 with batch norm, `middle` at 1/32 of the size, the mirror image of VGG16 and `classify`.

    width: channels of the first stage, 64 at full width. counts: as COUNTS.
    """

    def __init__(self, width: int, counts: tuple[int, ...], middle: nn.Module, classify: nn.Module) -> None:
        super().__init__()
        self.encoder = vgg_stages(width, norm=True)
        widths = [width * multiple for multiple in reversed(MULTIPLES)]
        stages = zip(widths, [*widths[1:], width], counts)
        self.middle = middle
        self.decoder = nn.ModuleList(mirrored(enters, leaves, count) for enters, leaves, count in stages)
        self.classify = classify
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H, W); in training a list of them."""
        places: list[Tensor] = []
        for stage in self.encoder:
            x, place = max_pool(stage(x), 2)
            places.append(place)
        x = self.middle(x)
        for stage in self.decoder:
            x = stage(max_unpool(x, places.pop(), 2))
        logits: Tensor = self.classify(x)
        return [logits] if self.training else logits


def segnet(classes: int, *, width: int, auxiliary: bool = False) -> MirroredVGG:
    """The network. width: see MirroredVGG."""
    return MirroredVGG(width, COUNTS, nn.Identity(), nn.Conv2d(width, classes, 3, padding=1))


FAMILY = Family(
    name="segnet",
    group="encoder-decoder",
    variants={"base": {"width": 64}, "tiny": {"width": 6}},
    module=segnet,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=1,
    align_corners=False,
    origin="arXiv 1511.00561; compared with the authors' prototxt",
    reference=Reference(
        "Cityscapes test 57.0 mIoU; CamVid test 60.1 (480x360)",
        counts={"base": (29.45, 325.5)},
        licence="unknown",
    ),
)
