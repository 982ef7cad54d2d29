"""ResNet as a backbone: features of its four stages, under the weight names that torchvision and its kin use.

He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, arXiv 1512.03385. The deep stem is that of the
"V1c" variant (three 3x3 convolutions in place of the 7x7).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


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
    """Two 3x3 convolutions with a shortcut. Only the first is dilated, as in mmsegmentation, and has the stride."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, dilation: int, stride_first: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(channels, width, 3, stride, dilation), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = projection(channels, width, stride)
        nn.init.zeros_(self.bn2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, width, H/stride, W/stride)."""
        body = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(body + self.downsample(x))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a shortcut, four times as wide outside. stride_first: on the 1x1 (Caffe)."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, dilation: int, stride_first: bool) -> None:
        super().__init__()
        out, (one, three) = self.expansion * width, (stride, 1) if stride_first else (1, stride)
        self.conv1, self.bn1 = conv(channels, width, 1, one), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, three, dilation), nn.BatchNorm2d(width)
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

    depths: blocks by stage, (2, 2, 2, 2) for ResNet18 and (3, 4, 6, 3) for 50 with `bottleneck`.
    width: channels inside the first stage's blocks; 64 is full width, 32 half. stem: channels that the stem gives.
    deep_stem: three 3x3 convolutions (stem/2, stem/2, stem) in place of the 7x7.
    contract: the first block of a dilated stage has half the dilation (mmsegmentation's `contract_dilation`).
    stride_first: see Bottleneck.
    `channels` tells what each stage gives. Stages are layer1 to layer4; `stage(n)` for a net that runs them singly.
    """

    def __init__(
        self,
        depths: Sequence[int] = (2, 2, 2, 2),
        *,
        bottleneck: bool = False,
        deep_stem: bool = False,
        stem: int = 64,
        width: int = 64,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        contract: bool = False,
        stride_first: bool = False,
    ) -> None:
        super().__init__()
        block = Bottleneck if bottleneck else Basic
        self.deep_stem = deep_stem
        if deep_stem:
            self.stem = three_convs(stem)
        else:
            self.conv1, self.bn1 = conv(3, stem, 7, 2), nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.channels = tuple(block.expansion * width * 2**n for n in range(4))
        enters = (stem, *self.channels[:3])
        for n, (depth, stride, dilation) in enumerate(zip(depths, strides, dilations)):
            first = dilation // 2 if contract and dilation > 1 else dilation
            blocks = [block(enters[n], width * 2**n, stride, first, stride_first)]
            blocks += [block(self.channels[n], width * 2**n, 1, dilation, stride_first) for _ in range(depth - 1)]
            self.add_module(f"layer{n + 1}", nn.Sequential(*blocks))
        kaiming_init(self)

    def stage(self, number: int) -> nn.Module:
        """Stage 1 to 4."""
        return self.get_submodule(f"layer{number}")

    def shallow(self, x: Tensor) -> Tensor:
        """Stem and max pooling: (N, 3, H, W) to (N, stem, H/4, W/4)."""
        x = self.stem(x) if self.deep_stem else self.relu(self.bn1(self.conv1(x)))
        return self.maxpool(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> list[Tensor]:
        """What the four stages give, at 1/4, 1/8, 1/16 and 1/32 of the size unless `strides` say otherwise."""
        x, features = self.shallow(x), []
        for number in (1, 2, 3, 4):
            x = self.stage(number)(x)
            features.append(x)
        return features


def three_convs(out: int) -> nn.Sequential:
    """The deep stem: 3x3 with stride 2, 3x3, 3x3, each with batch norm and ReLU."""
    layers: list[nn.Module] = []
    for channels, width, stride in [(3, out // 2, 2), (out // 2, out // 2, 1), (out // 2, out, 1)]:
        layers += [conv(channels, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
