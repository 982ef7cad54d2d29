"""BiSeNet: a shallow path that keeps detail, a deep one that gathers context, and a gate that fuses them.

Yu et al., "BiSeNet: Bilateral Segmentation Network for Real-time Semantic Segmentation", ECCV 2018,
arXiv 1808.00897. `xception39` and `resnet18` are the authors' own networks (TorchSeg): 1.54 M and 12.89 M parameters,
6.94 and 25.9 G multiply-adds at 1024x512 with 19 classes. The 5.8 M and 49.0 M "parameters" of the paper are their
megabytes.

The authors resize with aligned corners inside and at the end; here it is bilinear with half-pixel centres, which
every engine computes alike. The other keyword arguments build the network as other codes have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.encoder import Encoder
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import Enlarge, conv_bn, conv_bn_relu
from edgeseg.models.resnet import ResNet, kaiming_init
from edgeseg.models.xception39 import Xception39
from edgeseg.spec import SizeRule

STRIDE = 8
RESNETS = {"resnet18": 18, "resnet50": 50}


def backbone_from_name(name: str) -> Xception39 | ResNet:
    """The backbone `name`, with random weights. UnknownNameError, with the nearest name, where there is none."""
    if name == "xception39":
        return Xception39()
    if name not in RESNETS:
        raise UnknownNameError.among("backbone of bisenetv1", name, ["xception39", *RESNETS])
    return ResNet(RESNETS[name])


def spatial_path(widths: Sequence[int]) -> nn.Sequential:
    """7x7, 3x3, 3x3, each of stride 2, then 1x1: detail at 1/8 of the size."""
    one, two, three, out = widths
    return nn.Sequential(
        conv_bn_relu(3, one, 7, stride=2),
        conv_bn_relu(one, two, stride=2),
        conv_bn_relu(two, three, stride=2),
        conv_bn_relu(three, out, 1),
    )


class Refine(nn.Module):
    """Attention refinement module: 3x3, then each channel weighted by a function of its mean over the image."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(channels, out)
        self.gate = conv_bn(out, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H, W)."""
        x = self.conv(x)
        return x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))


class ContextPath(nn.Module):
    """A backbone, its two deepest features refined, and the mean of the deepest one added before.

    channels: of the features that the backbone gives, as a list from fine to deep.
    """

    def __init__(self, backbone: nn.Module, channels: Sequence[int], width: int, upsample: str) -> None:
        super().__init__()
        self.backbone = backbone
        *_, middle, deep = channels
        self.mean = conv_bn_relu(deep, width, 1)
        self.refine32, self.refine16 = Refine(deep, width), Refine(middle, width)
        self.last32, self.last16 = conv_bn_relu(width, width), conv_bn_relu(width, width)
        self.enlarge32, self.enlarge16 = (Enlarge(2.0, upsample, width) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) to the backbone's feature at 1/8, (N, width, H/8, W/8) and (N, width, H/16, W/16)."""
        *_, fine, middle, deep = self.backbone(x)
        context = self.refine32(deep) + self.mean(deep.mean((2, 3), keepdim=True))
        coarse = self.last32(self.enlarge32(context))
        return fine, self.last16(self.enlarge16(self.refine16(middle) + coarse)), coarse


class Fusion(nn.Module):
    """Feature fusion module: both paths concatenated, 1x1, and each channel gated by a function of its mean.

    gate: channels between the gate's two convolutions, which have neither norm nor bias; 0 for a single one with
    batch norm. gate_relu: a ReLU before the sigmoid, so that no channel is weighed below one half.
    """

    def __init__(self, channels: int, out: int, gate: int, gate_relu: bool) -> None:
        super().__init__()
        self.conv = conv_bn_relu(channels, out, 1)
        if gate:
            hidden = nn.Conv2d(out, gate, 1, bias=False)
            self.gate = nn.Sequential(hidden, nn.ReLU(inplace=True), nn.Conv2d(gate, out, 1, bias=False))
        else:
            self.gate = conv_bn(out, out, 1, relu=gate_relu)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        """Two of (N, C, H, W) to (N, out, H, W)."""
        x = self.conv(torch.cat([detail, context], 1))
        return x + x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))  # type: ignore[no-any-return]


def classifier(channels: int, width: int, outputs: int) -> nn.Sequential:
    """3x3 to `width` channels, 1x1 to the outputs."""
    return nn.Sequential(conv_bn_relu(channels, width), nn.Conv2d(width, outputs, 1))


class BiSeNetV1(nn.Module):
    """The network.

    backbone: xception39, resnet18 or resnet50. spatial: channels along the spatial path. context, fused:
    channels of the context path and behind the fusion. gate, gate_relu: see Fusion. head, auxiliary_head: channels
    before the classifiers. upsample: a name of `layers.UPSAMPLINGS`.
    shuffle: 64 outputs a class are laid out as its 8x8 pixels, so that logits have the input's size.
    auxiliary: the two heads on the context path, for training.
    """

    def __init__(
        self,
        classes: int,
        *,
        backbone: str,
        spatial: Sequence[int],
        context: int,
        fused: int,
        gate: int,
        gate_relu: bool,
        head: int,
        auxiliary_head: int,
        upsample: str,
        shuffle: bool,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        deep = backbone_from_name(backbone)
        self.context = ContextPath(deep, deep.channels, context, upsample)
        self.spatial = spatial_path(spatial)
        self.fusion = Fusion(spatial[-1] + context, fused, gate, gate_relu)
        self.head = classifier(fused, head, classes * STRIDE**2 if shuffle else classes)
        self.shuffle = nn.PixelShuffle(STRIDE) if shuffle else nn.Identity()
        self.auxiliary = nn.ModuleList(classifier(context, auxiliary_head, classes) for _ in range(2) if auxiliary)
        for part in (self.spatial, self.fusion, self.head, self.auxiliary):
            kaiming_init(part)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/8, W/8); in training a list, with those of the context path behind."""
        _, context, coarse = self.context(x)
        logits: Tensor = self.shuffle(self.head(self.fusion(self.spatial(x), context)))
        if not self.training:
            return logits
        return [logits, *(head(feature) for head, feature in zip(self.auxiliary, (context, coarse)))]


NATIVE = {
    "spatial": (64, 64, 64, 128),
    "context": 128,
    "fused": 256,
    "gate": 256,
    "gate_relu": False,
    "head": 64,
    "upsample": "bilinear",
    "shuffle": False,
}

FAMILY = Family(
    name="bisenetv1",
    group="real-time",
    variants={
        "xception39": {"backbone": "xception39", "auxiliary_head": 128, **NATIVE},
        "resnet18": {"backbone": "resnet18", "auxiliary_head": 256, **NATIVE},
    },
    module=BiSeNetV1,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=STRIDE,
    align_corners=False,
    origin="arXiv 1808.00897; compared with the authors' TorchSeg, CoinCheung/BiSeNet and mmsegmentation",
    reference=Reference(
        "Cityscapes test 68.4 mIoU, 105.8 FPS (Xception39); 74.7, 65.5 FPS (ResNet18); 1536x768, Titan XP",
        counts={"xception39": (1.54, 6.94), "resnet18": (12.89, 25.9)},
        licence="MIT",
    ),
    auxiliary=("auxiliary.",),
    encoder=Encoder("context.backbone"),
)
