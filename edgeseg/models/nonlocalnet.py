"""Non-local network: each position of the map takes a sum of all positions, weighted by how alike they are.

Wang et al., "Non-local Neural Networks", CVPR 2018, arXiv 1711.07971. The paper classifies videos; the block is here,
as in mmsegmentation, in the head of a dilated ResNet, in its "embedded Gaussian" version: 47.66 M parameters and
433.9 G multiply-adds at 1024x512 with ResNet50. The weights of the sum are a matrix of (H/8 W/8)^2: 268 MB in float32
at 1024x512 in an engine that stores it, and sixteen times that at 2048x1024.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from edgeseg.models.dilated import ContextHead, dilated_family, dilated_net
from edgeseg.models.family import Reference
from edgeseg.models.layers import attend, conv_bn


class NonLocal(nn.Module):
    """Attention of all positions to all, half as wide, added to the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = channels // 2
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = conv_bn(inner, channels, 1)
        nn.init.zeros_(self.out[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        query = self.query(x)
        context = attend(query, self.key(x).flatten(2), self.value(x).flatten(2), query.shape[1] ** -0.5)
        return x + self.out(context)  # type: ignore[no-any-return]


FAMILY = dilated_family(
    "nonlocalnet",
    partial(dilated_net, partial(ContextHead, block=NonLocal)),
    group="attention",
    origin="arXiv 1711.07971; compared with mmsegmentation",
    reference=Reference(
        "Cityscapes val 78.0 mIoU (mmsegmentation, ResNet50)",
        counts={"resnet50": (47.66, 433.9)},
        licence="Apache-2.0",
    ),
)
