"""ESPNet: pyramids of dilated convolutions, whose outputs are added one after another, and a decoder of few channels.

Mehta et al., "ESPNet: Efficient Spatial Pyramid of Dilated Convolutions for Semantic Segmentation", ECCV 2018, arXiv
1803.06815. sacmehta/ESPNet has 0.365 M parameters and 4.78 G multiply-adds at 1024x512 with 20 classes, which `p2q8`
reproduces. The decoder is as wide as there are classes, of which it needs five or more.
"""

from __future__ import annotations

from itertools import accumulate

import torch
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.light import EPSILON, conv_norm_prelu, norm_prelu, plain_conv, shrunk
from edgeseg.models.resnet import kaiming_init
from edgeseg.spec import SizeRule

DILATIONS = (1, 2, 4, 8, 16)


class Pyramid(nn.Module):
    """A convolution to a fifth of the channels, five dilated ones on it, concatenated; batch norm and PReLU.

    The four with dilation are added to those with less before. down: the first is 3x3 with stride 2, else 1x1.
    residual: plus the input.
    """

    def __init__(self, channels: int, out: int, *, down: bool = False, residual: bool = False) -> None:
        super().__init__()
        fifth = out // len(DILATIONS)
        widths = (out - 4 * fifth, *[fifth] * 4)
        self.first = plain_conv(channels, fifth, 3 if down else 1, stride=2 if down else 1)
        self.dilated = nn.ModuleList(plain_conv(fifth, w, dilation=d) for w, d in zip(widths, DILATIONS))
        self.norm, self.residual = norm_prelu(out), residual

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H, W), or half the size where the block goes down."""
        first = self.first(x)
        local, *rest = (layer(first) for layer in self.dilated)
        joined = torch.cat([local, *accumulate(rest)], 1)
        return self.norm(x + joined if self.residual else joined)  # type: ignore[no-any-return]


def doubled(channels: int) -> nn.ConvTranspose2d:
    """2x2 transposed convolution with stride 2, without bias."""
    return nn.ConvTranspose2d(channels, channels, 2, 2, bias=False)


class ESPNet(nn.Module):
    """The network. width: channels at 1/2; stages have 4 and 8 times as many. blocks: in the two stages, less one."""

    def __init__(self, classes: int, *, width: int, blocks: tuple[int, ...], auxiliary: bool = False) -> None:
        super().__init__()
        self.stem = conv_norm_prelu(3, width, stride=2)
        middle, wide = 4 * width, 8 * width
        joined = (width + 3, 2 * middle + 3, 2 * wide)
        self.norms = nn.ModuleList(norm_prelu(channels) for channels in joined)
        self.downs = nn.ModuleList([Pyramid(joined[0], middle, down=True), Pyramid(joined[1], wide, down=True)])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Pyramid(channels, channels, residual=True) for _ in range(count)))
            for channels, count in zip((middle, wide), blocks)
        )
        narrow = nn.Sequential(plain_conv(joined[2], classes, 1), nn.BatchNorm2d(classes, eps=EPSILON))
        self.deep = nn.Sequential(*narrow, doubled(classes))
        self.middle = plain_conv(joined[1], classes, 1)
        merged = (norm_prelu(2 * classes), Pyramid(2 * classes, classes))
        self.merge = nn.Sequential(*merged, doubled(classes), norm_prelu(classes))
        self.last = conv_norm_prelu(joined[0] + classes, classes)
        self.classify = doubled(classes)
        kaiming_init(self)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H, W); in training a list of them."""
        half = self.norms[0](torch.cat([self.stem(image), shrunk(image, 1)], 1))
        down = self.downs[0](half)
        quarter = self.norms[1](torch.cat([self.stages[0](down), down, shrunk(image, 2)], 1))
        down = self.downs[1](quarter)
        deep = self.deep(self.norms[2](torch.cat([down, self.stages[1](down)], 1)))
        merged = self.merge(torch.cat([self.middle(quarter), deep], 1))
        logits: Tensor = self.classify(self.last(torch.cat([merged, half], 1)))
        return [logits] if self.training else logits


FAMILY = Family(
    name="espnet",
    group="real-time",
    variants={
        "p2q8": {"width": 16, "blocks": (2, 8)},
        "p2q3": {"width": 16, "blocks": (2, 3)},
        "tiny": {"width": 16, "blocks": (1, 1)},
    },
    module=ESPNet,
    size_rule=SizeRule(multiple=8, minimum=64),
    stride=1,
    align_corners=False,
    origin="arXiv 1803.06815; compared with sacmehta/ESPNet",
    reference=Reference(
        "Cityscapes test 60.3 mIoU, 112 FPS at 1024x512 (Titan X)",
        counts={"p2q8": (0.365, 4.78)},
        licence="MIT",
        classes=20,
    ),
)
