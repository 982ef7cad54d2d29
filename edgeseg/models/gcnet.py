"""GCNet: one sum of all positions, weighted by a learned map, goes through a bottleneck and is added to every position.

Cao et al., "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond", ICCV Workshops 2019, arXiv
1904.11492. The authors saw that a non-local block gives nearly the same at every position, and so compute it once.
As in mmsegmentation the block is in the head of a dilated ResNet: 47.27 M parameters and 395.2 G multiply-adds at
1024x512 with ResNet50.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from edgeseg.models.dilated import ContextHead, DilatedNet, dilated_family, dilated_net
from edgeseg.models.family import Reference

REDUCTION = 4


class GlobalContext(nn.Module):
    """Attention pooling over the whole map, two 1x1 convolutions with layer norm between, added to the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mask = nn.Conv2d(channels, 1, 1)
        self.narrow = nn.Conv2d(channels, channels // REDUCTION, 1)
        self.norm = nn.LayerNorm(channels // REDUCTION)
        self.widen = nn.Conv2d(channels // REDUCTION, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        weights = torch.softmax(self.mask(x).flatten(2), 2)
        context = (x.flatten(2) @ weights.transpose(1, 2)).unsqueeze(3)
        inner = torch.relu(self.norm(self.narrow(context).flatten(1)))
        return x + self.widen(inner[:, :, None, None])  # type: ignore[no-any-return]


def gcnet(classes: int, *, depth: int, width: int, channels: int, auxiliary: bool = False) -> DilatedNet:
    """`dilated_net` with a context that adds nothing before training."""
    head = partial(ContextHead, block=GlobalContext)
    network = dilated_net(head, classes, depth=depth, width=width, channels=channels, auxiliary=auxiliary)
    nn.init.zeros_(network.get_parameter("head.context.widen.weight"))
    return network


FAMILY = dilated_family(
    "gcnet",
    gcnet,
    group="context",
    origin="arXiv 1904.11492; compared with mmsegmentation",
    reference=Reference(
        "Cityscapes val 78.5 mIoU (mmsegmentation, ResNet50)",
        counts={"resnet50": (47.27, 395.2)},
        licence="Apache-2.0",
    ),
)
