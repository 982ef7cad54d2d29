"""PIDNet: DDRNet's branches of detail (P) and context (I), and a third one (D) that finds boundaries and steers both.

Xu et al., "PIDNet: A Real-time Semantic Segmentation Network Inspired by PID Controllers", CVPR 2023,
arXiv 2206.02066. With 19 classes at 1024x512 the authors' code (XuJiacong/PIDNet) has 7.63 M parameters and 11.80 G
multiply-adds as `s`, 28.54 M and 44.33 G as `m`, 36.94 M and 68.73 G as `l`.

A training has two auxiliary heads, as the authors': for classes on P, and for boundaries, of one channel, on D. The
loss of the latter is that of STDC's detail head; the authors weigh a binary cross-entropy, and add a cross-entropy of
the classes at boundary pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from edgeseg.models.dual_resolution import (
    SIZES,
    STRIDE,
    PyramidPooling,
    basic,
    bn_relu_conv,
    bottleneck,
    head,
    layer,
    stem,
)
from edgeseg.models.family import TINY, Family, Reference
from edgeseg.models.layers import conv_bn, enlarge
from edgeseg.models.resnet import kaiming_init


class PixelFusion(nn.Module):
    """Pixel-attention-guided fusion: each position takes as much of the context as both branches agree there."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.detail, self.context = conv_bn(channels, width, 1), conv_bn(channels, width, 1)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """(N, C, H, W) and (N, C, h, w) to (N, C, H, W)."""
        similar = self.detail(detail) * enlarge(self.context(context), detail)
        share = torch.sigmoid(similar.sum(1, keepdim=True))
        return share * enlarge(context, detail) + (1 - share) * detail


class BoundaryFusion(nn.Module):
    """Boundary-attention-guided fusion: detail along boundaries, context inside. light: two 1x1 in place of a 3x3."""

    def __init__(self, channels: int, *, light: bool) -> None:
        super().__init__()
        kinds = [conv_bn(channels, channels, 1) for _ in range(2)] if light else [bn_relu_conv(channels, channels, 3)]
        self.convs = nn.ModuleList(kinds)
        self.light = light

    def forward(self, detail: Tensor, context: Tensor, boundary: Tensor) -> Tensor:
        """Three of (N, C, H, W) to one."""
        share = torch.sigmoid(boundary)
        if not self.light:
            (conv,) = self.convs
            return conv(share * detail + (1 - share) * context)  # type: ignore[no-any-return]
        proportional, integral = self.convs
        fused = proportional(detail + (1 - share) * context) + integral(context + share * detail)
        return fused  # type: ignore[no-any-return]


class PIDNet(nn.Module):
    """The network.

    width: channels of the stem; others are multiples. depth: blocks in the layers of the stem and of P;
    context_depth: in those of I. pyramid: channels of each scale of the pyramid pooling. head_width: before the
    classifier. light: parallel pyramid pooling, light boundary fusion, and a narrower D.
    auxiliary: for training, a second classifier on P behind the first fusion, and a boundary head on D.
    """

    def __init__(
        self,
        classes: int,
        *,
        width: int,
        depth: int,
        context_depth: int,
        pyramid: int,
        head_width: int,
        light: bool,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        w2, w4, w8 = 2 * width, 4 * width, 8 * width
        narrow = width if light else w2
        second = bottleneck if light else basic
        self.stem = stem(width, depth)
        self.integral = nn.ModuleList(
            [
                layer(basic, w2, w4, context_depth, 2),
                layer(basic, w4, w8, context_depth, 2),
                layer(bottleneck, w8, 2 * w8, 2, 2),
            ]
        )
        self.proportional = nn.ModuleList(
            [layer(basic, w2, w2, depth), layer(basic, w2, w2, depth), layer(bottleneck, w2, w4, 1)]
        )
        self.derivative = nn.ModuleList([basic(w2, narrow), second(narrow, w2), bottleneck(w2, w4)])
        self.compress = nn.ModuleList([conv_bn(w4, w2, 1), conv_bn(w8, w2, 1)])
        self.differ = nn.ModuleList([conv_bn(w4, narrow), conv_bn(w8, w2)])
        self.attend = nn.ModuleList(PixelFusion(w2, width) for _ in range(2))
        self.pyramid = PyramidPooling(2 * w8, pyramid, w4, parallel=light)
        self.fuse = BoundaryFusion(w4, light=light)
        self.head = head(w4, head_width, classes)
        heads = [head(w2, head_width, classes), head(w2, width, 1)] if auxiliary else []
        self.auxiliary = nn.ModuleList(heads)
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list, with those of the heads on P and D behind."""
        integral = proportional = derivative = self.stem(x)
        attended, edges = [], x
        for n, attend in enumerate(self.attend):
            integral = relu(self.integral[n](integral))
            attended.append(attend(self.proportional[n](proportional), self.compress[n](integral)))
            derivative = self.derivative[n](derivative)
            edges = derivative + enlarge(self.differ[n](integral), derivative)
            derivative = relu(edges)
            proportional = relu(attended[-1])
        proportional = self.proportional[-1](proportional)
        context = enlarge(self.pyramid(self.integral[-1](integral)), proportional)
        logits: Tensor = self.head(self.fuse(proportional, context, self.derivative[-1](derivative)))
        if not self.training:
            return logits
        return [logits, *(classify(feature) for classify, feature in zip(self.auxiliary, (attended[0], edges)))]


USUAL = {"depth": 2, "context_depth": 3, "pyramid": 96, "head_width": 128, "light": True}

FAMILY = Family(
    name="pidnet",
    group="real-time",
    variants={
        "s": {"width": 32, **USUAL},
        "m": {"width": 64, **USUAL},
        "l": {"width": 64, "depth": 3, "context_depth": 4, "pyramid": 112, "head_width": 256, "light": False},
        TINY: {"width": 8, "depth": 1, "context_depth": 1, "pyramid": 16, "head_width": 16, "light": True},
    },
    module=PIDNet,
    size_rule=SIZES,
    stride=STRIDE,
    align_corners=False,
    origin="arXiv 2206.02066; compared with XuJiacong/PIDNet and mmsegmentation",
    reference=Reference(
        "Cityscapes test 78.6 mIoU, 93.2 FPS (S); 79.8, 42.2 FPS (M); 80.6, 31.1 FPS (L); 2048x1024, RTX 3090",
        counts={"s": (7.63, 11.80), "m": (28.54, 44.33), "l": (36.94, 68.73)},
        licence="MIT",
    ),
    auxiliary=("auxiliary.",),
)
