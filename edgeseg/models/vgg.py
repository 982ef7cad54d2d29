<<<<<<< HEAD
"""VGG16 without its classifier: thirteen 3x3 convolutions in five stages, whose pools are left to the network.

Simonyan, Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015, arXiv 1409.1556.
14.71 M parameters.
=======
"""VGG16 as a backbone: its thirteen convolutions in five stages, each of which a pool follows.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015,
arXiv 1409.1556. 14.71 M parameters.
>>>>>>> 0d491e8 (Add FCN-8s, 16s and 32s on VGG16, whose fixed transposed convolutions are resizes; the PyTorch engine pools rounding up)
"""

from __future__ import annotations

from collections.abc import Sequence

<<<<<<< HEAD
from torch import nn

from edgeseg.models.layers import conv_bn_relu

DEPTHS = (2, 2, 3, 3, 3)  # convolutions by stage
MULTIPLES = (1, 2, 4, 8, 8)  # channels by stage, times the width


def conv_relu(channels: int, out: int, kernel: int = 3, *, dilation: int = 1) -> nn.Sequential:
    """Convolution with bias, which keeps the size, and ReLU."""
    padding = dilation * (kernel // 2)
    return nn.Sequential(nn.Conv2d(channels, out, kernel, padding=padding, dilation=dilation), nn.ReLU(inplace=True))


def vgg_stages(
    width: int = 64,
    *,
    norm: bool = False,
    depths: Sequence[int] = DEPTHS,
    dilations: Sequence[int] = (1, 1, 1, 1, 1),
) -> nn.ModuleList:
    """The five stages. width: channels of the first; VGG16 has 64. norm: batch norm in place of biases.

    depths, dilations: number of the convolutions of each stage, and their dilation.
    """
    unit = conv_bn_relu if norm else conv_relu
    stages, channels = nn.ModuleList(), 3
    for depth, multiple, dilation in zip(depths, MULTIPLES, dilations):
        out = multiple * width
        stages.append(nn.Sequential(*(unit(channels if n == 0 else out, out, dilation=dilation) for n in range(depth))))
        channels = out
    return stages
=======
from torch import Tensor, nn

from edgeseg.models.resnet import kaiming_init

REPEATS = (2, 2, 3, 3, 3)  # convolutions of each stage
WIDTHS = (1, 2, 4, 8, 8)  # their channels, in those of the first


def vgg_stage(channels: int, out: int, repeats: int, *, norm: bool, dilation: int, padding: int) -> nn.Sequential:
    """3x3 convolutions with bias, each with ReLU and, if asked, batch norm before it. padding: of the first one."""
    layers: list[nn.Module] = []
    for n in range(repeats):
        layers.append(nn.Conv2d(out if n else channels, out, 3, 1, dilation if n else padding, dilation))
        layers += [nn.BatchNorm2d(out)] * norm + [nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class VGG16(nn.Module):
    """The backbone.

    width: channels of the first stage, 64 at full width. norm: batch norm behind every convolution (VGG16-BN).
    border: zeros around the image, the padding of the first convolution. dilations: of the stages.
    `channels` tells what each stage gives. Stages are stage1 to stage5; `stage(n)` for a net that pools by itself.
    """

    def __init__(
        self, width: int = 64, *, norm: bool = False, border: int = 1, dilations: Sequence[int] = (1, 1, 1, 1, 1)
    ) -> None:
        super().__init__()
        self.channels = tuple(width * factor for factor in WIDTHS)
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True)
        for n, (repeats, dilation) in enumerate(zip(REPEATS, dilations)):
            channels, padding = (self.channels[n - 1], dilation) if n else (3, border)
            stage = vgg_stage(channels, self.channels[n], repeats, norm=norm, dilation=dilation, padding=padding)
            self.add_module(f"stage{n + 1}", stage)
        kaiming_init(self)

    def stage(self, number: int) -> nn.Module:
        """Stage 1 to 5, without its pool."""
        return self.get_submodule(f"stage{number}")

    def forward(self, x: Tensor) -> list[Tensor]:
        """What the pools behind the five stages give, at 1/2 to 1/32 of the size."""
        features = []
        for number in range(1, len(REPEATS) + 1):
            x = self.pool(self.stage(number)(x))
            features.append(x)
        return features
>>>>>>> 0d491e8 (Add FCN-8s, 16s and 32s on VGG16, whose fixed transposed convolutions are resizes; the PyTorch engine pools rounding up)
