"""PSANet: each position predicts a mask over the positions around it, by which it collects and by which it distributes.

Zhao et al., "PSANet: Point-wise Spatial Attention Network for Scene Parsing", ECCV 2018 (not on arXiv). With a dilated
ResNet50 56.77 M parameters and 403.5 G multiply-adds at 1024x512 (mmsegmentation, whose mask of 97x97 offsets is for
crops of 769). The attention is at half the size of the map. Offsets that the mask does not cover count as 0 before the
softmax, as the reference's kernel has it. That kernel is here one gather that is made of a pad, reshapes and slices.

`port=semseg` is the authors' network (hszhao/semseg): another stem and dilation, resizes that align the corners, and
logits that are to be resized so. It was trained with sides of multiples of 16 plus 1; here they are multiples of 8.
mmsegmentation pads the 1x1 projection by 1 before it resizes the map back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.dilated import VARIANTS, DilatedNet, dilated_family
from edgeseg.models.family import Reference
from edgeseg.models.layers import classifier, conv_bn_relu, enlarge
from edgeseg.models.resnet import resnet_of_code


def full_masks(x: Tensor, height: int, width: int) -> Tensor:
    """(..., mask, mask) to (..., 2 height - 1, 2 width - 1): all offsets on a map, 0 for those beyond the mask."""
    mask = x.shape[-1]
    before = [side - 1 - (mask - 1) // 2 for side in (height, width)]  # an even mask reaches one further behind
    behind = [2 * side - 1 - mask - short for side, short in zip((height, width), before)]
    rows, columns = (slice(max(0, -a), mask + min(0, b)) for a, b in zip(before, behind))
    (up, left), (down, right) = ([max(0, short) for short in shorts] for shorts in (before, behind))
    return F.pad(x[..., rows, columns], (left, right, up, down))


def positions_from_offsets(x: Tensor) -> Tensor:
    """(..., size, 2 size - 1), values by position and offset, to (..., size, size), by position and other position."""
    size = x.shape[-2]
    flat = F.pad(x, (0, 1)).flatten(-2)
    flat = flat[..., size - 1 : size - 1 + size * (2 * size - 1)]
    return flat.reshape(*x.shape[:-2], size, 2 * size - 1)[..., :size]


def pairs_from_masks(masks: Tensor, mask: int) -> Tensor:
    """(N, mask * mask, H, W) to (N, H W, H W): by predicting position, and the position that the value is for."""
    height, width = masks.shape[2:]
    squares = masks.reshape(masks.shape[0], mask, mask, height, width).permute(0, 3, 4, 1, 2)
    offsets = full_masks(squares, height, width)
    columns = positions_from_offsets(offsets.transpose(2, 3))  # image, row, offset of rows, column, other column
    pairs = positions_from_offsets(columns.permute(0, 3, 4, 1, 2))  # image, column, other column, row, other row
    return pairs.permute(0, 3, 1, 4, 2).flatten(3).flatten(1, 2)


class PointwiseAttention(nn.Module):
    """One direction: channels narrowed, half the size, and summed by predicted masks."""

    def __init__(self, channels: int, width: int, mask: int, *, distribute: bool) -> None:
        super().__init__()
        self.mask, self.distribute = mask, distribute
        self.reduce = conv_bn_relu(channels, width, 1)
        self.predict = nn.Sequential(conv_bn_relu(width, width, 1), nn.Conv2d(width, mask * mask, 1, bias=False))

    def forward(self, x: Tensor, size: tuple[int, int], align_corners: bool) -> Tensor:
        """(N, channels, H, W) to (N, width, *size)."""
        x = F.interpolate(self.reduce(x), size, mode="bilinear", align_corners=align_corners)
        pairs = pairs_from_masks(self.predict(x), self.mask)
        weights = torch.softmax(pairs, 1) if self.distribute else torch.softmax(pairs, 2).transpose(1, 2)
        return (x.flatten(2) @ weights).reshape(x.shape)


class PointwiseHead(nn.Module):
    """Both directions, concatenated, widened, resized and put beside the map; classifier. semseg: the authors' way."""

    def __init__(self, channels: int, width: int, classes: int, mask: int, *, semseg: bool) -> None:
        super().__init__()
        self.semseg = semseg
        self.collect = PointwiseAttention(channels, width, mask, distribute=False)
        self.distribute = PointwiseAttention(channels, width, mask, distribute=True)
        widen = nn.Conv2d(2 * width, channels, 1, padding=0 if semseg else 1, bias=False)
        self.widen = nn.Sequential(widen, nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.classify = classifier(2 * channels, width, classes)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Features of the stages, the last one (N, channels, h, w), to logits (N, C, h, w)."""
        x = features[-1]
        height, width = x.shape[2:]
        corners = self.semseg or (height % 2 == 1 and width % 2 == 1)
        size = ((height + 1) // 2, (width + 1) // 2) if corners else (height // 2, width // 2)
        context = self.widen(torch.cat([branch(x, size, corners) for branch in (self.collect, self.distribute)], 1))
        context = enlarge(context, x, "corners" if corners else "bilinear")
        return self.classify(torch.cat([x, context], 1))  # type: ignore[no-any-return]


def psanet(
    classes: int, *, depth: int, width: int, channels: int, mask: int, port: str, auxiliary: bool = False
) -> DilatedNet:
    """The network. depth, width: of the ResNet. channels: of each direction. port: mmseg or semseg.

    mask: side of the predicted masks.
    """
    backbone = resnet_of_code(port, depth, width)
    decoder = PointwiseHead(backbone.channels[3], channels, classes, mask, semseg=port == "semseg")
    return DilatedNet(backbone, decoder, classes, auxiliary=auxiliary)


FAMILY = dilated_family(
    "psanet",
    psanet,
    group="attention",
    origin="ECCV 2018, not on arXiv; compared with mmsegmentation and hszhao/semseg",
    reference=Reference(
        "Cityscapes test 80.1 mIoU (ResNet101); val 77.2 (mmsegmentation, ResNet50)",
        counts={"resnet50": (56.77, 403.5), "resnet50?mask=59&port=semseg": (50.8, None)},
        licence="Apache-2.0",
    ),
    variants={
        name: {**arguments, "mask": 9 if name == "tiny" else 97, "port": "mmseg"}
        for name, arguments in VARIANTS.items()
    },
)
