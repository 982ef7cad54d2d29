"""ENet: an encoder of narrow residual blocks, and a small decoder that unpools at the places of the encoder's maxima.

Paszke et al., "ENet: A Deep Neural Network Architecture for Real-Time Semantic Segmentation", 2016, arXiv 1606.02147.
davidtvs/PyTorch-ENet has 0.352 M parameters and 4.06 G multiply-adds at 1024x512 with 20 classes, which `base`
reproduces: PReLU with one slope in the encoder, ReLU in the decoder, 2x2 windows, and no activation between the last
batch norm of an upsampling block and its sum. Its first version of 2018 is `overlapping`: 3x3 windows with stride 2,
3x3 transposed convolutions, PReLU everywhere, one slope a channel behind each sum, and that activation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.unpool import max_pool, max_unpool
from edgeseg.spec import SizeRule

CONTEXT = ("plain", 2, "asymmetric", 4, "plain", 8, "asymmetric", 16)  # numbers are dilations


class Activations:
    """What follows a batch norm, and what follows a sum of so many channels."""

    def __init__(self, *, prelu: bool, slopes: bool) -> None:
        self.prelu, self.slopes = prelu, slopes

    def inner(self) -> nn.Module:
        """PReLU with one slope, or ReLU."""
        return nn.PReLU() if self.prelu else nn.ReLU()

    def outer(self, channels: int) -> nn.Module:
        """PReLU with one slope or one a channel, or ReLU."""
        return nn.PReLU(channels if self.slopes else 1) if self.prelu else nn.ReLU()


def block(layer: nn.Conv2d | nn.ConvTranspose2d, activation: nn.Module | None) -> nn.Sequential:
    """A convolution, its batch norm and an activation."""
    norm = nn.BatchNorm2d(layer.out_channels)
    return nn.Sequential(layer, norm) if activation is None else nn.Sequential(layer, norm, activation)


def conv(channels: int, out: int, kernel: int = 1, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Convolution without bias; an odd kernel is padded to keep the size at stride 1."""
    padding = dilation * (kernel // 2) if kernel % 2 else 0
    return nn.Conv2d(channels, out, kernel, stride, padding, dilation, bias=False)


def transposed(channels: int, out: int, kernel: int) -> nn.ConvTranspose2d:
    """Transposed convolution of stride 2 without bias, which doubles the size; kernel 2 or 3."""
    return nn.ConvTranspose2d(channels, out, kernel, 2, kernel - 2, kernel - 2, bias=False)


class Initial(nn.Module):
    """A strided convolution beside a max pooling of the image, concatenated. Stride 2."""

    def __init__(self, out: int, act: Activations) -> None:
        super().__init__()
        self.conv, self.pool = conv(3, out - 3, 3, 2), nn.MaxPool2d(3, 2, 1)
        self.norm, self.act = nn.BatchNorm2d(out), act.outer(out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) to (N, out, H/2, W/2)."""
        return self.act(self.norm(torch.cat([self.conv(x), self.pool(x)], 1)))  # type: ignore[no-any-return]


class Regular(nn.Module):
    """1x1 to a quarter of the channels, a convolution of `kind`, 1x1 back, dropout, sum. kind: see CONTEXT."""

    def __init__(self, channels: int, kind: str | int, act: Activations, dropout: float = 0.1) -> None:
        super().__init__()
        narrow = channels // 4
        if kind == "asymmetric":
            tall = nn.Conv2d(narrow, narrow, (5, 1), padding=(2, 0), bias=False)
            wide = nn.Conv2d(narrow, narrow, (1, 5), padding=(0, 2), bias=False)
            spatial = nn.Sequential(*block(tall, act.inner()), *block(wide, act.inner()))
        else:
            dilation = kind if isinstance(kind, int) else 1
            spatial = block(conv(narrow, narrow, 3, dilation=dilation), act.inner())
        first, last = block(conv(channels, narrow), act.inner()), block(conv(narrow, channels), act.inner())
        self.body = nn.Sequential(first, spatial, last, nn.Dropout2d(dropout))
        self.act = act.outer(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return self.act(x + self.body(x))  # type: ignore[no-any-return]


class Down(nn.Module):
    """Half the size: max pooling with channels of zeros behind, plus a strided body. Keeps the places of the maxima."""

    def __init__(self, channels: int, out: int, kernel: int, act: Activations, dropout: float) -> None:
        super().__init__()
        narrow, self.kernel, self.added = channels // 4, kernel, out - channels
        layers = (conv(channels, narrow, 2, 2), conv(narrow, narrow, 3), conv(narrow, out))
        self.body = nn.Sequential(*(block(layer, act.inner()) for layer in layers), nn.Dropout2d(dropout))
        self.act = act.outer(out)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, channels, H, W) to (N, out, H/2, W/2) and the places, (N, channels, H/2, W/2)."""
        pooled, places = max_pool(x, self.kernel)
        return self.act(F.pad(pooled, (0, 0, 0, 0, 0, self.added)) + self.body(x)), places


class Up(nn.Module):
    """Twice the size: a 1x1 convolution unpooled, plus a body with a transposed convolution."""

    def __init__(self, channels: int, out: int, kernel: int, act: Activations) -> None:
        super().__init__()
        narrow, self.kernel = channels // 4, kernel
        self.shortcut = block(conv(channels, out), None)
        self.body = nn.Sequential(
            block(conv(channels, narrow), act.inner()),
            block(transposed(narrow, narrow, kernel), act.inner()),
            block(conv(narrow, out), act.inner() if kernel == 3 else None),
            nn.Dropout2d(0.1),
        )
        self.act = act.outer(out)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """(N, channels, H, W) and places (N, out, H, W) to (N, out, 2H, 2W)."""
        return self.act(max_unpool(self.shortcut(x), places, self.kernel) + self.body(x))  # type: ignore[no-any-return]


class ENet(nn.Module):
    """The network.

    width: channels of the initial block; stages have 4 and 8 times as many. rounds: how often the context blocks are
    repeated. kernel: 2, or 3 for windows that overlap (see Up for its third convolution). decoder: "relu" or "prelu".
    slopes: PReLU behind a sum has one slope a channel.
    """

    def __init__(
        self, classes: int, *, width: int, rounds: int, kernel: int, decoder: str, slopes: bool, auxiliary: bool = False
    ) -> None:
        super().__init__()
        act, late = (Activations(prelu=prelu, slopes=slopes) for prelu in (True, decoder == "prelu"))
        middle, wide = 4 * width, 8 * width
        self.initial = Initial(width, act)
        self.down1 = Down(width, middle, kernel, act, 0.01)
        self.stage1 = nn.Sequential(*(Regular(middle, "plain", act, 0.01) for _ in range(4)))
        self.down2 = Down(middle, wide, kernel, act, 0.1)
        self.stage2 = nn.Sequential(*(Regular(wide, kind, act) for kind in CONTEXT * rounds))
        self.up4 = Up(wide, middle, kernel, late)
        self.stage4 = nn.Sequential(*(Regular(middle, "plain", late) for _ in range(2)))
        self.up5 = Up(middle, width, kernel, late)
        self.stage5 = Regular(width, "plain", late)
        self.classify = transposed(width, classes, 3)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H, W); in training a list of them."""
        x, places1 = self.down1(self.initial(x))
        x, places2 = self.down2(self.stage1(x))
        x = self.stage4(self.up4(self.stage2(x), places2))
        logits: Tensor = self.classify(self.stage5(self.up5(x, places1)))
        return [logits] if self.training else logits


FAMILY = Family(
    name="enet",
    group="real-time",
    variants={
        "base": {"width": 16, "rounds": 2, "kernel": 2, "decoder": "relu", "slopes": False},
        "overlapping": {"width": 16, "rounds": 2, "kernel": 3, "decoder": "prelu", "slopes": True},
        "tiny": {"width": 16, "rounds": 1, "kernel": 2, "decoder": "relu", "slopes": False},
    },
    module=ENet,
    size_rule=SizeRule(multiple=8, minimum=64),
    stride=1,
    align_corners=False,
    origin="arXiv 1606.02147; compared with davidtvs/PyTorch-ENet",
    reference=Reference(
        "Cityscapes test 58.3 mIoU, 21.6 FPS at 1280x720 (Jetson TX1)",
        counts={"base": (0.352, 4.06)},
        licence="MIT",
        classes=20,
    ),
)
