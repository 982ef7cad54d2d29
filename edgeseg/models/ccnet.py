"""CCNet: each position attends to its row and its column; twice, so that every position reaches every other.

Huang et al., "CCNet: Criss-Cross Attention for Semantic Segmentation", ICCV 2019, arXiv 1811.11721. With a dilated
ResNet50 47.46 M parameters and 402.4 G multiply-adds at 1024x512 (mmsegmentation). The position itself counts once, in
its row.

The authors' network (speedinghzl/CCNet, `port=ccnet`) has a stem of twice the width, dilates the first block of a stage
as the others, and its head has leaky ReLUs. Its max pooling rounds up, which this one does not: there is no difference
at the authors' own sizes, multiples of 8 plus 1; at multiples of 8 their maps have one more row and column.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.dilated import VARIANTS, ContextHead, DilatedNet, dilated_family
from edgeseg.models.family import Reference
from edgeseg.models.resnet import resnet_of_code

REDUCTION = 8
RECURRENCE = 2
NEVER = -1e4  # softmax gives 0, in float16 too
TRUNKS = {"mmseg": "mmseg", "ccnet": "semseg"}  # port -> whose ResNet
SLOPE = 0.01  # of the authors' leaky ReLUs


class CrissCrossAttention(nn.Module):
    """Attention of each position to its row and column, its share learned from 0 on, added; `recurrence` times."""

    def __init__(self, channels: int, recurrence: int) -> None:
        super().__init__()
        self.recurrence = recurrence
        self.query, self.key = (nn.Conv2d(channels, channels // REDUCTION, 1) for _ in range(2))
        self.value = nn.Conv2d(channels, channels, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        for _ in range(self.recurrence):
            x = x + self.gamma * self.context(x)
        return x

    def context(self, x: Tensor) -> Tensor:
        """The weighted sum over row and column. Indices: image n, row h, column w, channel c."""
        query, key, value = self.query(x), self.key(x), self.value(x)
        height, width = x.shape[2:]
        itself = NEVER * torch.eye(height, dtype=x.dtype, device=x.device)
        down = query.permute(0, 3, 2, 1) @ key.permute(0, 3, 1, 2) + itself  # nwhc @ nwch
        across = query.permute(0, 2, 3, 1) @ key.permute(0, 2, 1, 3)  # nhwc @ nhcw
        weights = torch.softmax(torch.cat([down.transpose(1, 2), across], 3), 3)
        down, across = torch.split(weights, [height, width], 3)
        columns = (down.transpose(1, 2) @ value.permute(0, 3, 2, 1)).permute(0, 3, 2, 1)
        rows = (across @ value.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return columns + rows  # type: ignore[no-any-return]


def ccnet(classes: int, *, depth: int, width: int, channels: int, port: str, auxiliary: bool = False) -> DilatedNet:
    """The network as `port` has it, a key of TRUNKS; for the rest see `dilated_net`."""
    if port not in TRUNKS:
        raise UnknownNameError.among("port of ccnet", port, TRUNKS)
    backbone = resnet_of_code(TRUNKS[port], depth, width)
    block = partial(CrissCrossAttention, recurrence=RECURRENCE)
    head = ContextHead(backbone.channels[-1], channels, classes, block)
    if port == "ccnet":
        for layers in (head.first, head.last, head.join):
            layers[2] = nn.LeakyReLU(SLOPE, inplace=True)
    return DilatedNet(backbone, head, classes, auxiliary=auxiliary)


FAMILY = dilated_family(
    "ccnet",
    ccnet,
    group="attention",
    origin="arXiv 1811.11721; compared with mmsegmentation and speedinghzl/CCNet",
    reference=Reference(
        "Cityscapes test 81.4 mIoU (ResNet101); val 79.0 (mmsegmentation, ResNet50)",
        counts={"resnet50": (47.46, 402.4)},
        licence="Apache-2.0",
    ),
    variants={name: {**arguments, "port": "mmseg"} for name, arguments in VARIANTS.items()},
)
