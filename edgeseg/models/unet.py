"""U-Net: an encoder of double convolutions, and a decoder that enlarges step by step beside the encoder's maps.

Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015, arXiv 1505.04597.
`base` has the paper's widths, with padding in place of cropping and batch norm, as everybody trains it: 31.04 M
parameters and 385.9 G multiply-adds with 19 classes at 1024x512.

`mmseg` is the network of mmsegmentation (28.99 M, 405.3 G): interpolation and a 1x1 convolution in place of transposed
convolutions, and one more convolution before the classifier. `resnet34` is the one of segmentation_models_pytorch
(24.44 M, 63.9 G): a ResNet as encoder, repetition in the decoder, which goes one step beyond the encoder's finest map,
and a classifier of 3x3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import classifier
from edgeseg.models.resnet import kaiming_init
from edgeseg.models.unet_trunk import bilinear_conv, deconvolution, double_conv, encoder_from_name, nearest
from edgeseg.spec import SizeRule

UPS = {"paper": deconvolution, "mmseg": bilinear_conv, "smp": nearest}


class UNet(nn.Module):
    """The network.

    encoder, width: see `encoder_from_name`. decoder: channels of its steps, the coarsest first.
    port: "paper", "mmseg" or "smp" (segmentation_models_pytorch), how a step enlarges and classifies.
    auxiliary: a classifier on the decoder's last map but one, which mmsegmentation trains with.
    """

    def __init__(
        self, classes: int, *, encoder: str, width: int, decoder: Sequence[int], port: str, auxiliary: bool = False
    ) -> None:
        super().__init__()
        if port not in UPS:
            raise UnknownNameError.among("port of unet", port, UPS)
        self.backbone = encoder_from_name(encoder, width, len(decoder) + 1)
        channels, *skips = reversed(self.backbone.widths)
        skips += [0] * (len(decoder) - len(skips))
        self.ups, self.convs = nn.ModuleList(), nn.ModuleList()
        for skip, out in zip(skips, decoder):
            self.ups.append(UPS[port](channels, out))
            self.convs.append(double_conv((channels if port == "smp" else out) + skip, out))
            channels = out
        self.auxiliary = nn.ModuleList(
            classifier(c, channels, classes) for c in decoder[-2:-1] if auxiliary and port == "mmseg"
        )
        self.classify = head(port, channels, classes)
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H, W); in training a list, with those of the auxiliary head behind."""
        *skips, x = self.backbone(x)
        maps = [x]
        for up, conv in zip(self.ups, self.convs):
            x = up(x)
            x = conv(torch.cat([x, skips.pop()], 1) if skips else x)
            maps.append(x)
        logits: Tensor = self.classify(x)
        return [logits, *(head(maps[-2]) for head in self.auxiliary)] if self.training else logits


def head(port: str, channels: int, classes: int) -> nn.Module:
    """The classifier of a port."""
    if port == "mmseg":
        return classifier(channels, channels, classes)
    return nn.Conv2d(channels, classes, 3, 1, 1) if port == "smp" else nn.Conv2d(channels, classes, 1)


PAPER = {"encoder": "convolutions", "width": 64, "decoder": (512, 256, 128, 64), "port": "paper"}

FAMILY = Family(
    name="unet",
    group="encoder-decoder",
    variants={
        "base": PAPER,
        "mmseg": {**PAPER, "port": "mmseg"},
        "resnet34": {"encoder": "resnet34", "width": 64, "decoder": (256, 128, 64, 32, 16), "port": "smp"},
        "tiny": {"encoder": "convolutions", "width": 8, "decoder": (32, 16, 8), "port": "paper"},
    },
    module=UNet,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=1,
    align_corners=False,
    origin="arXiv 1505.04597; compared with mmsegmentation and segmentation_models_pytorch",
    reference=Reference(
        "Cityscapes val 69.1 mIoU (mmsegmentation, 512x1024 crops)",
        counts={"base": (31.04, 385.9), "mmseg": (28.99, 405.3), "resnet34": (24.44, 63.9)},
        licence="Apache-2.0",
    ),
    auxiliary=("auxiliary.",),
)
