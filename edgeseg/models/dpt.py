"""DPT: a Vision Transformer whose tokens, after each quarter of its blocks, become maps that are fused coarse to fine.

Ranftl et al., "Vision Transformers for Dense Prediction", ICCV 2021, arXiv 2103.13413. With 150 classes at 512x512
mmsegmentation has 109.7 M parameters and 219.4 G multiply-adds on ViT-B, transformers 342.15 M parameters on ViT-L.
Implementations differ in the epsilon of the backbone's norms and in the resizing of positions: mmsegmentation has 1e-5
and bicubic, transformers 1e-12 and bilinear, the authors' code 1e-6 and bilinear; the last two enlarge the logits by 2
with aligned corners. The layer that reads each patch joined with the token of the class is two layers here.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.attention import map_from_tokens
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import Resize, Transposed, classifier, conv_bn, conv_bn_relu
from edgeseg.models.resnet import kaiming_init
from edgeseg.models.vit import PATCH, ViT
from edgeseg.spec import SizeRule


class Reassemble(nn.Module):
    """Tokens to a map with `width` channels; `middle` of them while `resize` brings it to its size."""

    def __init__(self, channels: int, middle: int, width: int, resize: nn.Module) -> None:
        super().__init__()
        self.patches = nn.Linear(channels, channels, bias=False)
        self.token = nn.Linear(channels, channels)
        self.project = nn.Conv2d(channels, middle, 1)
        self.resize = resize
        self.narrow = nn.Conv2d(middle, width, 3, 1, 1, bias=False)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, 1 + h*w, C), the token of the class first, to (N, width, factor h, factor w). size: (h, w)."""
        # The layer reads each patch joined with the token: a sum of two products, of which that of the token is one.
        x = F.gelu(self.patches(tokens[:, 1:]) + self.token(tokens[:, :1]))
        return self.narrow(self.resize(self.project(map_from_tokens(x, size))))  # type: ignore[no-any-return]


class ResidualUnit(nn.Module):
    """ReLU, 3x3 convolution and batch norm twice, with a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = conv_bn_relu(width, width), conv_bn(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        return x + self.second(self.first(F.relu(x)))  # type: ignore[no-any-return]


class DPT(nn.Module):
    """The network.

    channels, depth, heads, grid, resize, eps: of the backbone, see ViT; depth is a multiple of 4. middles: channels of
    the maps at 1/4, 1/8, 1/16 and 1/32 while they are resized. width: channels of the decoder.
    auxiliary: a classifier on the last but one fusion, for training.
    """

    def __init__(
        self,
        classes: int,
        *,
        channels: int,
        depth: int,
        heads: int,
        grid: int,
        resize: str,
        eps: float,
        middles: tuple[int, ...],
        width: int,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        fine, half, _, coarse = middles
        self.every = depth // len(middles)
        self.backbone = ViT(channels, depth, heads, grid=grid, resize=resize, eps=eps)
        resizes = (Transposed(fine, 4), Transposed(half, 2), nn.Identity(), nn.Conv2d(coarse, coarse, 3, 2, 1))
        self.maps = nn.ModuleList(Reassemble(channels, c, width, each) for c, each in zip(middles, resizes))
        self.skips = nn.ModuleList(ResidualUnit(width) for _ in middles[1:])
        self.fuse = nn.ModuleList(
            nn.Sequential(ResidualUnit(width), Resize("corners", 2.0), nn.Conv2d(width, width, 1)) for _ in middles
        )
        self.classify = classifier(width, width, classes)
        self.auxiliary = nn.ModuleList(classifier(width, width, classes) for _ in range(auxiliary))
        kaiming_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/2, W/2); in training a list, with those at 1/4 behind."""
        size = (x.shape[2] // PATCH, x.shape[3] // PATCH)
        tokens = self.backbone(x)[self.every - 1 :: self.every]
        *finer, coarse = (part(each, size) for part, each in zip(self.maps, tokens))
        fused = [self.fuse[0](coarse)]
        for skip, fuse, features in zip(self.skips, self.fuse[1:], reversed(finer)):
            fused.append(fuse(fused[-1] + skip(features)))
        logits: Tensor = self.classify(fused[-1])
        return [logits, *(head(fused[-2]) for head in self.auxiliary)] if self.training else logits


def arguments(channels: int, heads: int, depth: int, middles: tuple[int, ...], width: int = 256) -> dict[str, object]:
    """The keyword arguments of a variant, with the positions and epsilon of mmsegmentation."""
    backbone = {"channels": channels, "depth": depth, "heads": heads, "grid": 14, "resize": "bicubic", "eps": 1e-5}
    return {**backbone, "middles": middles, "width": width}


FAMILY = Family(
    name="dpt",
    group="transformer",
    variants={
        "vit-b16": arguments(768, 12, 12, (96, 192, 384, 768)),
        "vit-l16": {**arguments(1024, 16, 24, (256, 512, 1024, 1024)), "grid": 24, "resize": "bilinear", "eps": 1e-12},
        "tiny": {**arguments(32, 2, 4, (8, 8, 16, 16), 16), "grid": 4},
    },
    module=DPT,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=2,
    align_corners=False,
    origin="arXiv 2103.13413; compared with mmsegmentation and transformers",
    reference=Reference(
        "ADE20K val 46.97 mIoU (ViT-B in mmsegmentation), 49.02 (hybrid with ResNet50, not here); 512x512",
        counts={"vit-b16": (109.7, 219.4), "vit-l16": (342.15, None)},
        licence="Apache-2.0",
        size=(512, 512),
        classes=150,
    ),
    auxiliary=("auxiliary.",),
)
