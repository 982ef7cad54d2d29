"""LiteSeg: EfficientNet-Lite with a decoder of separable convolutions, for devices that share little memory bandwidth.

A design of edgeseg's own, for encoders whose ImageNet weights a package carries (`efficientnet_lite.encoder_state`);
nobody has published results. The encoder is Tan and Le's, "EfficientNet: Rethinking Model Scaling for Convolutional
Neural Networks", ICML 2019, arXiv 1905.11946, without its head. The decoder narrows the features at 1/32, 1/16 and
1/8, adds the mean of the deepest one, and sums them on the way up. With 19 classes at 1024x512 `lite0` has 3.01 M
parameters and 3.87 G multiply-adds.
"""

from __future__ import annotations

from torch import Tensor, nn

from edgeseg.models.efficientnet_lite import EfficientNetLite
from edgeseg.models.family import TINY, Family, Reference
from edgeseg.models.layers import conv_bn, conv_bn_relu, enlarge
from edgeseg.models.resnet import kaiming_init
from edgeseg.spec import SizeRule


def separable(channels: int) -> nn.Sequential:
    """Depthwise 3x3, then 1x1 with ReLU."""
    return nn.Sequential(conv_bn(channels, channels, groups=channels), conv_bn_relu(channels, channels, 1))


class LiteSeg(nn.Module):
    """The network.

    width, depth: see EfficientNetLite. decoder: channels of the decoder. auxiliary: a classifier at 1/16, for training.
    """

    def __init__(self, classes: int, *, width: int, depth: int, decoder: int, auxiliary: bool = False) -> None:
        super().__init__()
        self.encoder = EfficientNetLite(width, depth)
        _, *used = self.encoder.channels
        self.mean = conv_bn_relu(used[-1], decoder, 1)
        self.narrow = nn.ModuleList(conv_bn(channels, decoder, 1) for channels in used)
        self.smooth = nn.ModuleList(separable(decoder) for _ in used)
        self.head = nn.Conv2d(decoder, classes, 1)
        self.auxiliary = nn.ModuleList(nn.Conv2d(decoder, classes, 1) for _ in range(1) if auxiliary)
        for part in (self.mean, self.narrow, self.smooth):
            kaiming_init(part)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list, with those at 1/16 behind."""
        _, fine, middle, deep = self.encoder(x)
        eighth, sixteenth, last = self.narrow
        x = self.smooth[2](last(deep) + self.mean(deep.mean((2, 3), keepdim=True)))
        middle = self.smooth[1](enlarge(x, middle) + sixteenth(middle))
        logits: Tensor = self.head(self.smooth[0](enlarge(middle, fine) + eighth(fine)))
        if not self.training:
            return logits
        return [logits, *(head(middle) for head in self.auxiliary)]


FAMILY = Family(
    name="liteseg",
    group="real-time",
    variants={
        "lite0": {"width": 100, "depth": 100, "decoder": 48},
        "lite1": {"width": 100, "depth": 110, "decoder": 48},
        "lite2": {"width": 110, "depth": 120, "decoder": 64},
        TINY: {"width": 20, "depth": 34, "decoder": 16},
    },
    module=LiteSeg,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 1905.11946; the encoder compared with efficientnet_lite_pytorch",
    reference=Reference(
        "none published; the encoder has 75.1 % top-1 on ImageNet (Lite0)",
        counts={"lite0": (3.01, 3.87)},
        licence="Apache-2.0",
    ),
    auxiliary=("auxiliary.",),
)
