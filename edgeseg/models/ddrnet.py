"""DDRNet: two branches, at 1/8 and down to 1/64, that exchange features twice, and a deep pyramid pooling.

Hong et al., "Deep Dual-resolution Networks for Real-time and Accurate Semantic Segmentation of Road Scenes",
arXiv 2101.06085 (IEEE Transactions on Intelligent Transportation Systems, 2022). With 19 classes at 1024x512 the
authors' code (ydhongHIT/DDRNet) has 5.70 M parameters and 9.07 G multiply-adds as `23-slim`, 20.15 M and 35.77 G as
`23`. Their stem has biases before its batch norms, which add nothing; mmsegmentation has none, nor has this.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

from edgeseg.models.dual_resolution import SIZES, STRIDE, PyramidPooling, basic, bottleneck, head, layer, stem
from edgeseg.models.family import TINY, Family, Reference
from edgeseg.models.layers import conv_bn, conv_bn_relu, enlarge
from edgeseg.models.resnet import kaiming_init


class DDRNet(nn.Module):
    """The network.

    width: channels of the stem; others are multiples. depth: blocks in each layer but the last. pyramid: channels of
    each scale of the pyramid pooling. head_width: before the classifier. auxiliary: a second one for training,
    behind the first exchange of the branches.
    """

    def __init__(
        self, classes: int, *, width: int, depth: int, pyramid: int, head_width: int, auxiliary: bool = False
    ) -> None:
        super().__init__()
        w2, w4, w8 = 2 * width, 4 * width, 8 * width
        self.stem = stem(width, depth)
        self.context = nn.ModuleList(
            [layer(basic, w2, w4, depth, 2), layer(basic, w4, w8, depth, 2), layer(bottleneck, w8, 2 * w8, 1, 2)]
        )
        self.detail = nn.ModuleList(
            [layer(basic, w2, w2, depth), layer(basic, w2, w2, depth), layer(bottleneck, w2, w4, 1)]
        )
        self.compress = nn.ModuleList([conv_bn(w4, w2, 1), conv_bn(w8, w2, 1)])
        twice = nn.Sequential(conv_bn_relu(w2, w4, stride=2), conv_bn(w4, w8, stride=2))
        self.down = nn.ModuleList([conv_bn(w2, w4, stride=2), twice])
        self.pyramid = PyramidPooling(2 * w8, pyramid, w4, parallel=False)
        self.head = head(w4, head_width, classes)
        self.auxiliary = nn.ModuleList(head(w2, head_width, classes) for _ in range(1) if auxiliary)
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list, with those of the auxiliary head behind."""
        context = detail = self.stem(x)
        exchanged = []
        *exchanging, (deepest, finest) = zip(self.context, self.detail)
        for (deeper, finer), compress, down in zip(exchanging, self.compress, self.down):
            context, detail = deeper(context), finer(detail)
            lifted = enlarge(compress(relu(context)), detail)
            context = relu(context + down(relu(detail)))
            exchanged.append(detail + lifted)
            detail = relu(exchanged[-1])
        detail = finest(detail)
        logits: Tensor = self.head(detail + enlarge(self.pyramid(deepest(context)), detail))
        if not self.training:
            return logits
        return [logits, *(classify(exchanged[0]) for classify in self.auxiliary)]


FAMILY = Family(
    name="ddrnet",
    group="real-time",
    variants={
        "23-slim": {"width": 32, "depth": 2, "pyramid": 128, "head_width": 64},
        "23": {"width": 64, "depth": 2, "pyramid": 128, "head_width": 128},
        TINY: {"width": 8, "depth": 1, "pyramid": 16, "head_width": 16},
    },
    module=DDRNet,
    size_rule=SIZES,
    stride=STRIDE,
    align_corners=False,
    origin="arXiv 2101.06085; compared with ydhongHIT/DDRNet and mmsegmentation",
    reference=Reference(
        "Cityscapes test 77.4 mIoU, 102 FPS (23-slim); 79.4, 37 FPS (23); 2048x1024, RTX 2080 Ti",
        counts={"23-slim": (5.70, 9.07), "23": (20.15, 35.77)},
        licence="MIT",
    ),
    auxiliary=("auxiliary.",),
)
