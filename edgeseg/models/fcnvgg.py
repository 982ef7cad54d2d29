"""FCN: VGG16 turned into convolutions, whose coarse scores are enlarged and summed with those of finer maps.

Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015, arXiv 1411.4038: FCN-32s, FCN-16s and
FCN-8s, 134.5 M parameters. The authors put a border of 100 pixels around the image, so that a convolution over 7x7
positions without padding fits into it, enlarge by transposed convolutions whose weights are bilinear and fixed, and
crop what is too much: `8s-border`, 334 G multiply-adds at 1024x512 with 19 classes. Without the border (`8s`) the
network has the same weights, pads each convolution, resizes with half-pixel centres and takes 222 G; away from the
margin of the image it computes the same on a grid that is shifted by 3 pixels.

A fixed bilinear transposed convolution is a resize of the map with a border of zeros, and exports as one.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import enlarge
from edgeseg.models.resnet import kaiming_init
from edgeseg.models.vgg import MULTIPLES, vgg_stages
from edgeseg.spec import SizeRule

# Input pixels per position of the finest scores -> rows and columns to crop from their enlargement, plus the border.
CROPS = {32: -81, 16: -73, 8: -69}
SKIPS = (5, 9)  # rows and columns to crop from the fourth and the third pool's scores


def transposed_bilinear(x: Tensor, factor: int) -> Tensor:
    """The transposed convolution with a fixed bilinear kernel of 2 `factor` and a stride of `factor`.

    (N, C, h, w) to (N, C, factor (h + 1), factor (w + 1)): a resize of the map with a border of one zero.
    """
    bordered = F.interpolate(F.pad(x, (1, 1, 1, 1)), scale_factor=float(factor), mode="bilinear", align_corners=False)
    half = factor // 2
    return bordered[:, :, half:-half, half:-half]


def cropped(x: Tensor, start: int, like: Tensor) -> Tensor:
    """`x` from the row and column `start`, at the height and width of `like`."""
    return x[:, :, start : start + like.shape[2], start : start + like.shape[3]]


class FCNVGG(nn.Module):
    """The network.

    width: channels of VGG's first stage. hidden: of the convolutions that were fully connected layers.
    finest: input pixels per position of the finest scores, 32, 16 or 8. border: zeros around the image, 100 for the
    authors'; 1 for padded convolutions.
    """

    def __init__(
        self, classes: int, *, width: int, hidden: int, finest: int, border: int, auxiliary: bool = False
    ) -> None:
        super().__init__()
        self.finest, self.border = finest, border
        if border > 1 and border + CROPS[finest] < 0:
            raise ValueError(f"a border of {border} leaves nothing to crop")
        self.stages = vgg_stages(width)
        kaiming_init(self.stages)
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True)
        third, fourth, deep = (width * multiple for multiple in MULTIPLES[2:])
        self.hidden = nn.Sequential(
            nn.Conv2d(deep, hidden, 7, padding=0 if border > 1 else 3),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.5),
            nn.Conv2d(hidden, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Dropout2d(0.5),
        )
        kaiming_init(self.hidden)
        skips = {32: (), 16: (fourth,), 8: (fourth, third)}[finest]
        self.scores = nn.ModuleList(nn.Conv2d(channels, classes, 1) for channels in (hidden, *skips))

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H, W); in training a list of them."""
        *_, third, fourth, deep = self.pools(x)
        coarse, *finer = self.scores
        scores = coarse(self.hidden(deep))
        for score, skip, crop in zip(finer, (fourth, third), SKIPS):
            if self.border > 1:
                scores = transposed_bilinear(scores, 2)
                scores = scores + score(cropped(skip, crop, scores))
            else:
                scores = enlarge(scores, skip) + score(skip)
        if self.border > 1:
            logits = cropped(transposed_bilinear(scores, self.finest), self.border + CROPS[self.finest], x)
        else:
            logits = enlarge(scores, x)
        return [logits] if self.training else logits

    def pools(self, x: Tensor) -> list[Tensor]:
        """What the pools behind the five stages give, from 1/2 to 1/32 of the size of the image with its border."""
        if self.border > 1:
            x = F.pad(x, (self.border - 1,) * 4)  # the first convolution pads by one more
        pooled = []
        for stage in self.stages:
            x = self.pool(stage(x))
            pooled.append(x)
        return pooled


FULL = {"width": 64, "hidden": 4096}

FAMILY = Family(
    name="fcnvgg",
    group="encoder-decoder",
    variants={
        "8s": {**FULL, "finest": 8, "border": 1},
        "16s": {**FULL, "finest": 16, "border": 1},
        "32s": {**FULL, "finest": 32, "border": 1},
        "8s-border": {**FULL, "finest": 8, "border": 100},
        "tiny": {"width": 8, "hidden": 32, "finest": 8, "border": 1},
    },
    module=FCNVGG,
    size_rule=SizeRule(multiple=32, minimum=32),
    stride=1,
    align_corners=False,
    origin="arXiv 1411.4038; compared with wkentaro/pytorch-fcn",
    reference=Reference(
        "VOC 2012 test 62.2 mIoU (FCN-8s)",
        counts={"8s": (134.5, 222), "8s-border": (134.5, 334)},
        licence="MIT",
    ),
)
