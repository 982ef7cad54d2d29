"""Attention U-Net: a U-Net whose decoder weighs the encoder's maps, position by position, before it reads them.

Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", MIDL 2018, arXiv 1804.03999. In 2-D and with
batch norm, as PaddleSeg has it: 34.87 M parameters and 532 G multiply-adds with 19 classes at 1024x512. It enlarges by
repetition and a 3x3 convolution, and weighs at the size of the encoder's map, where the paper interpolates weights of
the coarser map.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import conv_bn
from edgeseg.models.resnet import kaiming_init
from edgeseg.models.unet_trunk import ConvolutionEncoder, double_conv, nearest_conv
from edgeseg.spec import SizeRule


class Attention(nn.Module):
    """A weight in 0..1 for each position of the encoder's map, from it and from the decoder's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_decoder, self.of_encoder = conv_bn(channels, channels // 2, 1), conv_bn(channels, channels // 2, 1)
        self.weight = conv_bn(channels // 2, 1, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """(N, C, H, W) of the decoder and the encoder to the latter, weighed."""
        return skip * torch.sigmoid(self.weight(F.relu(self.of_decoder(x) + self.of_encoder(skip))))


class AttentionUNet(nn.Module):
    """The network. width: channels at full size, doubled at each of the `scales`."""

    def __init__(self, classes: int, *, width: int, scales: int, auxiliary: bool = False) -> None:
        super().__init__()
        widths = [width * 2**n for n in range(scales)]
        self.backbone = ConvolutionEncoder(widths)
        steps = list(zip(widths[:0:-1], widths[-2::-1]))
        self.ups = nn.ModuleList(nearest_conv(channels, out) for channels, out in steps)
        self.attentions = nn.ModuleList(Attention(out) for _, out in steps)
        self.convs = nn.ModuleList(double_conv(2 * out, out) for _, out in steps)
        self.classify = nn.Conv2d(width, classes, 1)
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H, W); in training a list of these."""
        *skips, x = self.backbone(x)
        for up, attention, conv in zip(self.ups, self.attentions, self.convs):
            x = up(x)
            x = conv(torch.cat([attention(x, skips.pop()), x], 1))
        logits: Tensor = self.classify(x)
        return [logits] if self.training else logits


FAMILY = Family(
    name="attentionunet",
    group="encoder-decoder",
    variants={"base": {"width": 64, "scales": 5}, "tiny": {"width": 16, "scales": 3}},
    module=AttentionUNet,
    size_rule=SizeRule(multiple=16, minimum=32),
    stride=1,
    align_corners=False,
    origin="arXiv 1804.03999; compared with PaddleSeg",
    reference=Reference(
        "CT-82 pancreas 84.0 Dice, against 81.4 of a U-Net (its paper)",
        counts={"base": (34.87, 532)},
        licence="Apache-2.0",
    ),
)
