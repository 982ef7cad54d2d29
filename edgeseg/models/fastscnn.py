"""Fast-SCNN: two branches that share their first three layers, inverted residuals and a pyramid pooling on one of them.

Poudel et al., "Fast-SCNN: Fast Semantic Segmentation Network", BMVC 2019, arXiv 1902.04502; no code of the authors.
The paper states 1.11 M parameters. Two ports differ. Tramac/Fast-SCNN-pytorch, `tramac` here, has 1.14 M: its first
convolution does not pad, a ReLU follows each depthwise convolution, a 1x1 joins the pyramid, and corners are aligned.
mmsegmentation's, `mmseg`, has 1.40 M and 1.81 G multiply-adds at 1024x512: a 3x3 joins the pyramid.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import PyramidPooling, classifier, conv_bn, conv_bn_relu, enlarge, separable
from edgeseg.models.resnet import kaiming_init
from edgeseg.spec import SizeRule

EXPANSION, BINS, STRIDES = 6, (1, 2, 3, 6), (2, 2, 1)
AUXILIARY = 32  # channels of the heads for training
PORTS = {  # port -> padding of the first convolution, ReLU in separable ones, kernel that joins the pyramid, resizes
    "mmseg": (1, False, 3, "bilinear"),
    "tramac": (0, True, 1, "corners"),
}


class Inverted(nn.Module):
    """1x1 to six times the channels, 3x3 depthwise, 1x1 to `out` without ReLU; plus the input where shapes agree."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        wide = EXPANSION * channels
        depthwise = conv_bn(wide, wide, stride=stride, groups=wide, relu=True)
        self.body = nn.Sequential(conv_bn_relu(channels, wide, 1), depthwise, conv_bn(wide, out, 1))
        self.residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H/stride, W/stride)."""
        return x + self.body(x) if self.residual else self.body(x)  # type: ignore[no-any-return]


class FastSCNN(nn.Module):
    """The network.

    shared: channels of the three layers before the branches part; stages: of the three stages of inverted residuals,
    the last one also of what follows; repeats: residuals in each stage; port: a key of PORTS.
    """

    def __init__(
        self,
        classes: int,
        *,
        shared: tuple[int, ...],
        stages: tuple[int, ...],
        repeats: int,
        port: str,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        if port not in PORTS:
            raise UnknownNameError.among("port of fastscnn", port, PORTS)
        padding, relu, kernel, self.upsample = PORTS[port]
        first, second, fine = shared
        deep = stages[-1]
        layers = (separable(c, out, stride=2, relu=relu) for c, out in ((first, second), (second, fine)))
        self.shared = nn.Sequential(conv_bn_relu(3, first, stride=2), *layers)
        self.shared[0][0].padding = (padding, padding)  # type: ignore[index]
        residuals: list[nn.Module] = []
        for channels, out, stride in zip((fine, *stages), stages, STRIDES):
            residuals += [Inverted(out if n else channels, out, 1 if n else stride) for n in range(repeats)]
        self.stages = nn.Sequential(*residuals)
        self.pyramid = PyramidPooling(deep, deep // len(BINS), BINS, self.upsample)
        self.join = conv_bn_relu(deep + len(BINS) * (deep // len(BINS)), deep, kernel)
        self.deep = nn.Sequential(conv_bn(deep, deep, groups=deep, relu=True), conv_bn(deep, deep, 1))
        self.fine = conv_bn(fine, deep, 1)
        head = (separable(deep, deep, relu=relu) for _ in range(2))
        self.classify = nn.Sequential(*head, nn.Dropout2d(0.1), nn.Conv2d(deep, classes, 1))
        self.auxiliary = nn.ModuleList(classifier(c, AUXILIARY, classes) for c in (deep, fine) if auxiliary)
        kaiming_init(self)

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list, with those of the two branches behind."""
        fine = self.shared(image)
        x = self.stages(fine)
        deep = self.join(torch.cat([x, *self.pyramid(x)], 1))
        fused = (self.fine(fine) + self.deep(enlarge(deep, fine, self.upsample))).relu()
        logits: Tensor = self.classify(fused)
        if not self.training:
            return logits
        return [logits, *(head(feature) for head, feature in zip(self.auxiliary, (deep, fine)))]


FAMILY = Family(
    name="fastscnn",
    group="real-time",
    variants={
        "mmseg": {"shared": (32, 48, 64), "stages": (64, 96, 128), "repeats": 3, "port": "mmseg"},
        "tramac": {"shared": (32, 48, 64), "stages": (64, 96, 128), "repeats": 3, "port": "tramac"},
        "tiny": {"shared": (16, 24, 32), "stages": (32, 32, 64), "repeats": 1, "port": "mmseg"},
    },
    module=FastSCNN,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=8,
    align_corners=False,
    origin="arXiv 1902.04502; compared with Tramac/Fast-SCNN-pytorch and mmsegmentation",
    reference=Reference(
        "Cityscapes test 68.0 mIoU, 123.5 FPS at 2048x1024 (Titan Xp)",
        counts={"mmseg": (1.40, 1.81), "tramac": (1.14, None)},
        licence="Apache-2.0",
    ),
    auxiliary=("auxiliary.",),
)
