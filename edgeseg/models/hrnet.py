"""HRNet with the head of FCN: a classifier on the maps of all scales, concatenated at the finest.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition", PAMI 2020, arXiv 1908.07919. With 19
classes at 1024x512: W18 in the small version (the authors' "small v2") 3.94 M parameters and 19.2 G multiply-adds, W18
9.64 M and 36.9 G, W48 65.86 M and 186.9 G. The authors' code and mmsegmentation build the same network.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edgeseg.models import hrnet_trunk as trunk
from edgeseg.models.family import Family, Reference
from edgeseg.spec import SizeRule


class HRNetFCN(nn.Module):
    """The network. width, blocks, modules, upsample: see `trunk.HRNet`."""

    def __init__(
        self,
        classes: int,
        *,
        width: int,
        blocks: int,
        modules: Sequence[int],
        upsample: str,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = trunk.HRNet(width=width, blocks=blocks, modules=modules, upsample=upsample)
        self.head = trunk.coarse_head(sum(self.backbone.widths), classes)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/4, W/4); in training a list of these."""
        logits: Tensor = self.head(self.backbone(x))
        return [logits] if self.training else logits


FAMILY = Family(
    name="hrnet",
    group="encoder-decoder",
    variants={
        "w18": {**trunk.W18, "upsample": "bilinear"},
        "w18-small": {**trunk.W18_SMALL, "upsample": "bilinear"},
        "w48": {**trunk.W48, "upsample": "bilinear"},
        "tiny": {**trunk.TINY, "upsample": "bilinear"},
    },
    module=HRNetFCN,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=4,
    align_corners=False,
    origin="arXiv 1908.07919; compared with HRNet-Semantic-Segmentation and mmsegmentation",
    reference=Reference(
        "Cityscapes test 81.6 mIoU (W48)",
        counts={"w18-small": (3.94, 19.2), "w18": (9.64, 36.9), "w48": (65.86, 186.9)},
        licence="MIT",
    ),
)
