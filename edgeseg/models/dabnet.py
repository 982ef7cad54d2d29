"""DABNet: residual blocks of two depthwise asymmetric branches, one of them dilated.

Li et al., "DABNet: Depth-wise Asymmetric Bottleneck for Real-time Semantic Segmentation", BMVC 2019, arXiv 1907.11357.
Reagan1311/DABNet has 0.757 M parameters and 10.22 G multiply-adds at 1024x512, which `base` reproduces.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.light import conv_norm_prelu, norm_prelu, plain_conv, shrunk
from edgeseg.models.resnet import kaiming_init
from edgeseg.spec import SizeRule

TALL, FLAT = (3, 1), (1, 3)


class Asymmetric(nn.Sequential):
    """Depthwise 3x1 and 1x3 convolutions, each with batch norm and PReLU."""

    def __init__(self, channels: int, dilation: int) -> None:
        tall, flat = (plain_conv(channels, channels, k, dilation=dilation, depthwise=True) for k in (TALL, FLAT))
        super().__init__(tall, *norm_prelu(channels), flat, *norm_prelu(channels))


class Block(nn.Module):
    """3x3 to half the channels, a plain and a dilated asymmetric branch added, 1x1 back, plus the input."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        half = channels // 2
        self.first = nn.Sequential(*norm_prelu(channels), plain_conv(channels, half), *norm_prelu(half))
        self.local, self.context = Asymmetric(half, 1), Asymmetric(half, dilation)
        self.last = nn.Sequential(*norm_prelu(half), plain_conv(half, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        first = self.first(x)
        return self.last(self.local(first) + self.context(first)) + x  # type: ignore[no-any-return]


class Down(nn.Module):
    """Half the size: a strided convolution and, where that is narrower than `out`, the pooled input beside it."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.pools = channels < out
        self.conv = plain_conv(channels, out - channels if self.pools else out, stride=2)
        self.norm = norm_prelu(out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H/2, W/2)."""
        strided = self.conv(x)
        return self.norm(torch.cat([strided, F.max_pool2d(x, 2)], 1) if self.pools else strided)  # type: ignore[no-any-return]


class DABNet(nn.Module):
    """The network. width: channels at 1/2; stages have 2 and 4 times as many.

    first: dilations of the blocks at 1/4; second: those at 1/8.
    """

    def __init__(
        self, classes: int, *, width: int, first: tuple[int, ...], second: tuple[int, ...], auxiliary: bool = False
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm_prelu(3, width, stride=2), conv_norm_prelu(width, width), conv_norm_prelu(width, width)
        )
        middle, wide = 2 * width, 4 * width
        joined = (width + 3, 2 * middle + 3, 2 * wide + 3)
        self.norms = nn.ModuleList(norm_prelu(channels) for channels in joined)
        self.downs = nn.ModuleList([Down(joined[0], middle), Down(joined[1], wide)])
        self.stages = nn.ModuleList(
            nn.Sequential(*(Block(channels, dilation) for dilation in dilations))
            for channels, dilations in ((middle, first), (wide, second))
        )
        self.classify = plain_conv(joined[2], classes, 1)
        kaiming_init(self)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list of them."""
        x = self.norms[0](torch.cat([self.stem(image), shrunk(image, 1)], 1))
        for number, (down, stage, norm) in enumerate(zip(self.downs, self.stages, self.norms[1:]), start=2):
            x = down(x)
            x = norm(torch.cat([stage(x), x, shrunk(image, number)], 1))
        logits: Tensor = self.classify(x)
        return [logits] if self.training else logits


FAMILY = Family(
    name="dabnet",
    group="real-time",
    variants={
        "base": {"width": 32, "first": (2, 2, 2), "second": (4, 4, 8, 8, 16, 16)},
        "tiny": {"width": 16, "first": (2,), "second": (4, 16)},
    },
    module=DABNet,
    size_rule=SizeRule(multiple=8, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 1907.11357; compared with Reagan1311/DABNet",
    reference=Reference(
        "Cityscapes test 70.1 mIoU, 27.7 FPS at 2048x1024 (GTX 1080 Ti)",
        counts={"base": (0.757, 10.22)},
        licence="MIT",
    ),
)
