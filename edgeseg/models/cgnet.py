"""CGNet: blocks that join a local and a dilated depthwise convolution, and weight channels by their global means.

Wu et al., "CGNet: A Light-Weight Context Guided Network for Semantic Segmentation", IEEE Transactions on Image
Processing 2021, arXiv 1811.08201. wutianyiRosun/CGNet and mmsegmentation have the same network: 0.496 M parameters and
6.76 G multiply-adds at 1024x512.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.light import conv_norm_prelu, norm_prelu, plain_conv, shrunk
from edgeseg.models.resnet import kaiming_init
from edgeseg.spec import SizeRule

DILATIONS, REDUCTIONS = (2, 4), (8, 16)


class ChannelGate(nn.Module):
    """Each channel times a weight that two 1x1 convolutions derive from the means of all."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.narrow, self.widen = (
            nn.Conv2d(channels, channels // reduction, 1),
            nn.Conv2d(channels // reduction, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x * self.widen(self.narrow(x.mean((2, 3), keepdim=True)).relu()).sigmoid()  # type: ignore[no-any-return]


class ContextGuided(nn.Module):
    """A convolution, then a local and a dilated depthwise one side by side, and a gate. out: channels that it gives.

    down: the first is 3x3 with stride 2, as wide as the block, and a 1x1 narrows the two; otherwise it is 1x1, half
    as wide, and the input is added.
    """

    def __init__(self, channels: int, out: int, dilation: int, reduction: int, *, down: bool = False) -> None:
        super().__init__()
        width = out if down else out // 2
        self.first = conv_norm_prelu(channels, width, 3 if down else 1, stride=2 if down else 1)
        self.local = plain_conv(width, width, depthwise=True)
        self.context = plain_conv(width, width, dilation=dilation, depthwise=True)
        self.join = norm_prelu(2 * width)
        self.narrow = plain_conv(2 * width, out, 1) if down else None
        self.gate = ChannelGate(out, reduction)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H, W), or half the size where the block goes down."""
        first = self.first(x)
        joined = self.join(torch.cat([self.local(first), self.context(first)], 1))
        if self.narrow is None:
            return x + self.gate(joined)  # type: ignore[no-any-return]
        return self.gate(self.narrow(joined))  # type: ignore[no-any-return]


class CGNet(nn.Module):
    """The network. width: channels at 1/2; stages have 2 and 4 times as many. blocks: in the two stages, at least 2."""

    def __init__(self, classes: int, *, width: int, blocks: tuple[int, ...], auxiliary: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm_prelu(3, width, stride=2), conv_norm_prelu(width, width), conv_norm_prelu(width, width)
        )
        widths = (width, 2 * width, 4 * width)
        enters = (width + 3, 2 * widths[1] + 3)
        self.norms = nn.ModuleList(norm_prelu(channels) for channels in (*enters, 2 * widths[2]))
        self.downs, self.stages = nn.ModuleList(), nn.ModuleList()
        for enter, out, count, dilation, reduction in zip(enters, widths[1:], blocks, DILATIONS, REDUCTIONS):
            self.downs.append(ContextGuided(enter, out, dilation, reduction, down=True))
            stage = (ContextGuided(out, out, dilation, reduction) for _ in range(count - 1))
            self.stages.append(nn.Sequential(*stage))
        self.classify = nn.Conv2d(2 * widths[2], classes, 1)
        kaiming_init(self)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list of them."""
        first, second, last = self.norms
        down1 = self.downs[0](first(torch.cat([self.stem(image), shrunk(image, 1)], 1)))
        down2 = self.downs[1](second(torch.cat([self.stages[0](down1), down1, shrunk(image, 2)], 1)))
        logits: Tensor = self.classify(last(torch.cat([down2, self.stages[1](down2)], 1)))
        return [logits] if self.training else logits


FAMILY = Family(
    name="cgnet",
    group="real-time",
    variants={
        "m3n21": {"width": 32, "blocks": (3, 21)},
        "m3n15": {"width": 32, "blocks": (3, 15)},
        "tiny": {"width": 16, "blocks": (2, 3)},
    },
    module=CGNet,
    size_rule=SizeRule(multiple=8, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 1811.08201; compared with wutianyiRosun/CGNet and mmsegmentation",
    reference=Reference(
        "Cityscapes test 64.8 mIoU, 50 FPS at 2048x1024 (V100)",
        counts={"m3n21": (0.496, 6.76)},
        licence="MIT",
    ),
)
