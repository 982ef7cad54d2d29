"""HRNet as a backbone: maps of four scales side by side, which exchange what they know after each module.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", PAMI 2020, arXiv 1908.07919. Weights
are named as in the authors' code, which mmsegmentation follows.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.layers import conv_bn, conv_bn_relu, enlarge
from edgeseg.models.resnet import Basic, Bottleneck, conv, kaiming_init

STEM = 64
# Basic blocks of a branch, and modules of the stages two to four.
W18_SMALL, W18, W48 = (
    {"width": width, "blocks": blocks, "modules": modules}
    for width, blocks, modules in ((18, 2, (1, 3, 2)), (18, 4, (1, 4, 3)), (48, 4, (1, 4, 3)))
)
TINY = {"width": 6, "blocks": 1, "modules": (1, 1, 1)}


def bottlenecks(blocks: int) -> nn.Sequential:
    """The first stage: 64 channels to 256."""
    out = Bottleneck.expansion * STEM
    return nn.Sequential(*(Bottleneck(STEM if n == 0 else out, STEM, 1, 1) for n in range(blocks)))


def halvings(channels: int, out: int, times: int, *, relu: bool) -> nn.Sequential:
    """3x3 convolutions of stride 2; the last one gives `out` channels, and has a ReLU where `relu`."""
    steps = [conv_bn_relu(channels, channels, stride=2) for _ in range(times - 1)]
    return nn.Sequential(*steps, conv_bn(channels, out, stride=2, relu=relu))


def transition(before: Sequence[int], widths: Sequence[int]) -> nn.ModuleList:
    """What makes the branches of the next stage: the first ones of those before, the last one of the coarsest."""
    branches: list[nn.Module] = []
    for n, out in enumerate(widths):
        if n >= len(before):
            branches.append(halvings(before[-1], out, 1 + n - len(before), relu=True))
        else:
            branches.append(conv_bn_relu(before[n], out) if before[n] != out else nn.Identity())
    return nn.ModuleList(branches)


class Module(nn.Module):
    """Basic blocks on each branch, then each branch becomes the sum of all, at its scale. upsample: see `enlarge`."""

    def __init__(self, widths: Sequence[int], blocks: int, upsample: str) -> None:
        super().__init__()
        self.upsample = upsample
        self.branches = nn.ModuleList(nn.Sequential(*(Basic(c, c, 1, 1) for _ in range(blocks))) for c in widths)
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self.exchange(widths, source, target) for source in range(len(widths)))
            for target in range(len(widths))
        )

    @staticmethod
    def exchange(widths: Sequence[int], source: int, target: int) -> nn.Module:
        """From one branch to another; to a finer one without its enlargement."""
        if source > target:
            return conv_bn(widths[source], widths[target], 1)
        if source == target:
            return nn.Identity()
        return halvings(widths[source], widths[target], target - source, relu=False)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """A map for each branch, in and out, of equal shapes."""
        maps = [branch(x) for branch, x in zip(self.branches, maps)]
        fused = []
        for target, layers in enumerate(self.fuse_layers):
            total = maps[target]
            for source, layer in enumerate(layers.children()):
                if source < target:
                    total = total + layer(maps[source])
                elif source > target:
                    total = total + enlarge(layer(maps[source]), maps[target], self.upsample)
            fused.append(F.relu(total))
        return fused


class HRNet(nn.Module):
    """The backbone.

    width: channels at 1/4, doubled at each further scale. blocks: of the first stage, and of each branch of a module.
    modules: of the stages two to four. upsample: "bilinear", or "corners" for aligned corners, here and in the heads.
    """

    def __init__(self, *, width: int, blocks: int, modules: Sequence[int], upsample: str) -> None:
        super().__init__()
        self.widths = tuple(width * 2**n for n in range(len(modules) + 1))
        self.upsample, self.stages = upsample, range(2, len(modules) + 2)
        self.conv1, self.bn1 = conv(3, STEM, 3, 2), nn.BatchNorm2d(STEM)
        self.conv2, self.bn2 = conv(STEM, STEM, 3, 2), nn.BatchNorm2d(STEM)
        self.layer1 = bottlenecks(blocks)
        before: Sequence[int] = (Bottleneck.expansion * STEM,)
        for number, repeats in zip(self.stages, modules):
            widths = self.widths[:number]
            self.add_module(f"transition{number - 1}", transition(before, widths))
            stage = nn.Sequential(*(Module(widths, blocks, upsample) for _ in range(repeats)))
            self.add_module(f"stage{number}", stage)
            before = widths
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to the maps of all scales at the finest one, concatenated: (N, 15 width, H/4, W/4)."""
        x = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        maps: list[Tensor] = [self.layer1(x)]
        for number in self.stages:
            steps = list(self.get_submodule(f"transition{number - 1}").children())
            maps = [step(maps[min(n, len(maps) - 1)]) for n, step in enumerate(steps)]
            maps = self.get_submodule(f"stage{number}")(maps)
        return torch.cat([maps[0], *(enlarge(x, maps[0], self.upsample) for x in maps[1:])], 1)


def coarse_head(channels: int, classes: int) -> nn.Sequential:
    """A 1x1 convolution as wide as its input, and the classifier, whose first weights are small."""
    head = nn.Conv2d(channels, classes, 1)
    first = conv_bn_relu(channels, channels, 1)
    kaiming_init(first)
    nn.init.normal_(head.weight, std=0.01)
    return nn.Sequential(first, head)
