"""PP-LiteSeg: an STDC backbone, a light pyramid pooling, and a decoder that mixes two features by their similarity.

Peng et al., "PP-LiteSeg: A Superior Real-Time Semantic Segmentation Model", arXiv 2204.02681. With 19 classes at
1024x512, counted from PaddleSeg's code, `t` has 8.03 M parameters and 11.4 G multiply-adds, `b` 12.2 M and 19.2 G.
PaddleSeg has biases before the batch norms of the pyramid pooling, which add nothing, and none in its classifiers.

There is no reader for PaddleSeg's checkpoints: a .pdparams file is a pickle of its own kind, which only running its
code can read.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.models.bisenetv1 import classifier
from edgeseg.models.family import TINY, Family, Reference
from edgeseg.models.layers import conv_bn, conv_bn_relu, enlarge, pool_to_bins
from edgeseg.models.resnet import kaiming_init
from edgeseg.models.stdcnet import STDC1, STDC2, STDCNet
from edgeseg.spec import SizeRule

BINS = (1, 2, 4)


class SimplePyramidPooling(nn.Module):
    """The means over 1x1, 2x2 and 4x4 windows, narrowed, enlarged and summed; the map itself takes no part."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.pools = nn.ModuleList(conv_bn_relu(channels, out, 1) for _ in BINS)
        self.last = conv_bn_relu(out, out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H, W)."""
        one, *others = (enlarge(narrow(pool_to_bins(x, bins)), x) for bins, narrow in zip(BINS, self.pools))
        return self.last(sum(others, one))  # type: ignore[no-any-return]


class AttentionFusion(nn.Module):
    """Unified attention fusion module, spatial: a weight for each position from both maps' channel means and maxima."""

    def __init__(self, fine: int, deep: int, out: int) -> None:
        super().__init__()
        self.fine = conv_bn_relu(fine, deep)
        self.attention = nn.Sequential(conv_bn_relu(4, 2), conv_bn(2, 1))
        self.last = conv_bn_relu(deep, out)

    def forward(self, fine: Tensor, deep: Tensor) -> Tensor:
        """(N, fine, H, W) and (N, deep, h, w) to (N, out, H, W)."""
        fine = self.fine(fine)
        deep = enlarge(deep, fine)
        parts = [part for x in (fine, deep) for part in (x.mean(1, keepdim=True), x.amax(1, keepdim=True))]
        share = torch.sigmoid(self.attention(torch.cat(parts, 1)))
        return self.last(fine * share + deep * (1 - share))  # type: ignore[no-any-return]


class PPLiteSeg(nn.Module):
    """The network.

    depths, width: see STDCNet. pyramid: channels of the pyramid pooling. decoder: of the decoder at 1/8, 1/16, 1/32;
    heads: before the classifiers there. auxiliary: those at 1/16 and 1/32, for training.
    """

    def __init__(
        self,
        classes: int,
        *,
        depths: Sequence[int],
        width: int,
        pyramid: int,
        decoder: Sequence[int],
        heads: Sequence[int],
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = STDCNet(depths, width)
        self.pyramid = SimplePyramidPooling(self.backbone.channels[-1], pyramid)
        deeper = (*decoder[1:], pyramid)
        self.fusions = nn.ModuleList(map(AttentionFusion, self.backbone.channels, deeper, decoder))
        self.head, *others = (classifier(enters, middle, classes) for enters, middle in zip(decoder, heads))
        self.auxiliary = nn.ModuleList(others if auxiliary else [])
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list, with those at 1/16 and 1/32 behind."""
        features = self.backbone(x)
        x = self.pyramid(features[-1])
        decoded: list[Tensor] = []
        for fuse, feature in zip(reversed(self.fusions), reversed(features)):
            x = fuse(feature, x)
            decoded.insert(0, x)
        logits: Tensor = self.head(x)
        if not self.training:
            return logits
        return [logits, *(head(feature) for head, feature in zip(self.auxiliary, decoded[1:]))]


FAMILY = Family(
    name="ppliteseg",
    group="real-time",
    variants={
        "t": {"depths": STDC1, "width": 64, "pyramid": 128, "decoder": (32, 64, 128), "heads": (32, 64, 64)},
        "b": {"depths": STDC2, "width": 64, "pyramid": 128, "decoder": (64, 96, 128), "heads": (64, 64, 64)},
        TINY: {"depths": (1, 1, 1), "width": 8, "pyramid": 16, "decoder": (16, 16, 16), "heads": (16, 16, 16)},
    },
    module=PPLiteSeg,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 2204.02681; compared with PaddleSeg",
    reference=Reference(
        "Cityscapes test 72.0 mIoU, 273.6 FPS (T, 1024x512); 77.5, 102.6 FPS (B, 1536x768); GTX 1080 Ti",
        counts={"t": (8.03, 11.4), "b": (12.2, 19.2)},
        licence="Apache-2.0",
    ),
    auxiliary=("auxiliary.",),
)
