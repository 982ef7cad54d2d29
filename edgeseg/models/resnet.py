"""ResNet as a backbone: features of its four stages, under the weight names that torchvision and its kin use.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385. The deep stem is that of the
"V1c" variant (three 3x3 convolutions in place of the 7x7). Codes dilate by different rules, which no weight shows:
`DILATED` and `CODES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.encoder import Encoder

# Of a network whose backbone is a ResNet. torchvision's files fit a plain stem, mmsegmentation's V1c a deep one.
BACKBONE = Encoder("backbone")
# Depth -> blocks of each stage. 10 and 14 are the smallest with basic blocks and with bottlenecks.
DEPTHS = {
    10: (1, 1, 1, 1),
    14: (1, 1, 1, 1),
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
}
# Which 3x3 convolutions of a dilated stage are dilated: one in each block, the first block's by half as much
# ("contract"); one in each block; every one.
DILATED = ("contract", "block", "convolution")
# How the trunks of the codes that publish weights differ: the stem, and the dilation.
CODES: dict[str, dict[str, Any]] = {
    "mmseg": {"deep_stem": True, "dilated": "contract"},
    "semseg": {"deep_stem": True, "dilated": "block"},
    "smp": {"dilated": "convolution"},
    "torchvision": {"dilated": "contract"},
}
# Input pixels per position of the last stage -> strides and dilations of the four stages.
OUTPUT_STRIDES = {
    8: ((1, 2, 1, 1), (1, 1, 2, 4)),
    16: ((1, 2, 2, 1), (1, 1, 1, 2)),
    32: ((1, 2, 2, 2), (1, 1, 1, 1)),
}


def has_bottlenecks(depth: int) -> bool:
    """Whether a ResNet of this depth has bottlenecks in place of basic blocks."""
    return depth == 14 or depth >= 50


def kaiming_init(module: nn.Module) -> None:
    """He et al.'s normal initialisation, by fan-in, of every convolution inside; biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def conv(channels: int, out: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Convolution without bias, padded to keep the size at stride 1."""
    return nn.Conv2d(channels, out, kernel, stride, dilation * (kernel // 2), dilation, bias=False)


class Basic(nn.Module):
    """Two 3x3 convolutions with a shortcut. The first has the stride; the second is dilated where `second` says so."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, dilation: int, second: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, width, 3, stride, dilation), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, 1, second), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(channels, width, stride)
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, width, H/stride, W/stride)."""
        body = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(body + self.downsample(x))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut, four times as wide outside. The 3x3 has stride and dilation."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, dilation: int) -> None:
        super().__init__()
        out = self.expansion * width
        self.conv1, self.bn1 = conv(channels, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride, dilation), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, out, 1), nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(channels, out, stride)
        nn.init.zeros_(self.bn3.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, 4 width, H/stride, W/stride)."""
        body = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        return self.relu(self.bn3(self.conv3(body)) + self.downsample(x))  # type: ignore[no-any-return]


def projection(channels: int, out: int, stride: int) -> nn.Module:
    """The shortcut: 1x1 convolution and batch norm where the shape changes."""
    if stride == 1 and channels == out:
        return nn.Identity()
    return nn.Sequential(conv(channels, out, 1, stride), nn.BatchNorm2d(out))


class ResNet(nn.Module):
    """The backbone.

    depth: a key of DEPTHS. width: channels inside the first stage's blocks; 64 is full width, 32 half.
    stem: channels that the stem gives. deep_stem: three 3x3 convolutions (stem/2, stem/2, stem) in place of the 7x7.
    strides, dilations: of the stages; as many stages are built. dilated: a rule of DILATED.
    `channels` tells what each stage gives. Stages are layer1 to layer4; `stage(n)` for a net that runs them singly.
    """

    def __init__(
        self,
        depth: int = 18,
        *,
        deep_stem: bool = False,
        stem: int = 64,
        width: int = 64,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        dilated: str = "block",
    ) -> None:
        super().__init__()
        if dilated not in DILATED:
            raise UnknownNameError.among("rule of dilation", dilated, DILATED)
        block = Bottleneck if has_bottlenecks(depth) else Basic
        self.deep_stem = deep_stem
        if deep_stem:
            self.stem = three_convs(stem)
        else:
            self.conv1, self.bn1 = conv(3, stem, 7, 2), nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.channels = tuple(block.expansion * width * 2**n for n in range(len(strides)))
        enters = (stem, *self.channels[:-1])
        for n, (repeats, stride, dilation) in enumerate(zip(DEPTHS[depth], strides, dilations)):
            first = dilation // 2 if dilated == "contract" and dilation > 1 else dilation
            second = {"second": dilation} if dilated == "convolution" and block is Basic else {}
            blocks = [block(enters[n], width * 2**n, stride, first, **second)]
            blocks += [block(self.channels[n], width * 2**n, 1, dilation, **second) for _ in range(repeats - 1)]
            self.add_module(f"layer{n + 1}", nn.Sequential(*blocks))
        kaiming_init(self)

    def stage(self, number: int) -> nn.Module:
        """Stage 1 to 4."""
        return self.get_submodule(f"layer{number}")

    def half_size(self, x: Tensor) -> Tensor:
        """The stem alone: (N, 3, H, W) to (N, stem, H/2, W/2)."""
        return self.stem(x) if self.deep_stem else self.relu(self.bn1(self.conv1(x)))  # type: ignore[no-any-return]

    def shallow(self, x: Tensor) -> Tensor:
        """Stem and max pooling: (N, 3, H, W) to (N, stem, H/4, W/4)."""
        return self.maxpool(self.half_size(x))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> list[Tensor]:
        """What the stages give, at 1/4, 1/8, 1/16 and 1/32 of the size unless `strides` say otherwise."""
        x, features = self.shallow(x), []
        for number in range(1, len(self.channels) + 1):
            x = self.stage(number)(x)
            features.append(x)
        return features


def three_convs(out: int) -> nn.Sequential:
    """The deep stem: 3x3 with stride 2, 3x3, 3x3, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for channels, width, stride in [(3, out // 2, 2), (out // 2, out // 2, 1), (out // 2, out, 1)]:
        layers += [conv(channels, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def resnet_of_code(
    code: str, depth: int, width: int, *, output_stride: int = 8, stages: int = 4, stem: int = 0
) -> ResNet:
    """The backbone as `code` builds it. UnknownNameError, with the nearest name, where CODES lacks it.

    output_stride: input pixels per position of the fourth stage, a key of OUTPUT_STRIDES. stages: how many to build.
    stem: see ResNet; 0 for the code's own, which follows the width.
    """
    if code not in CODES:
        raise UnknownNameError.among("code of a ResNet", code, CODES)
    strides, dilations = OUTPUT_STRIDES[output_stride]
    stem = stem or (2 * width if code == "semseg" else width)
    return ResNet(depth, width=width, stem=stem, strides=strides[:stages], dilations=dilations, **CODES[code])
