"""PointRend: a coarse map is enlarged twice, and each time its least certain points are classified anew by themselves.

Kirillov et al., "PointRend: Image Segmentation as Rendering", CVPR 2020, arXiv 1912.08193. The coarse map at 1/4 is
that of a semantic FPN. With ResNet50 and mmsegmentation's 8196 points in each of two steps 28.72 M parameters and 90.5
G multiply-adds at 1024x512, and 1.77 G more a step. Logits have the size of the image.

Points are centres of cells of a grid, so that sampling the features is four gathers of known weights in place of
GridSample, with zeros beyond the border as in the reference. How many points there are is fixed, as engines need it.

In training the paper draws points, three quarters of them where the net is least certain, and has a loss for them
alone. Here the net does in training what it does later, with a quarter of the points, which is as many as
mmsegmentation draws: their gradients take most of a step on a CPU. The classifier of points learns from the logits that
it replaces; the coarse logits are the second output.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import Enlarge, conv_bn_relu, enlarge
from edgeseg.models.resnet import BACKBONE, kaiming_init, resnet_of_code
from edgeseg.spec import SizeRule

STEPS, TRAINED = 2, 4  # one of TRAINED points is classified in training
LAYERS = 3  # of the classifier of points
LARGEST_TOPK = 3840  # that TensorRT computes
CHOSEN = 1e4  # is added to the margin of a point that is chosen: above all margins, and in float16's range


class FeaturePyramid(nn.Module):
    """FPN: all stages narrowed to one width, each added to the next finer one, and a 3x3 convolution on each."""

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(stage, width, 1) for stage in channels)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Features of the stages, finest first, to as many maps (N, width, h, w) of their sizes."""
        maps = [narrow(feature) for narrow, feature in zip(self.narrow, features)]
        for n in range(len(maps) - 1, 0, -1):
            maps[n - 1] = maps[n - 1] + enlarge(maps[n], maps[n - 1], "nearest")
        return [smooth(each) for smooth, each in zip(self.smooth, maps)]


class PanopticHead(nn.Module):
    """Each map through convolutions and doublings to the finest one's size; their sum is classified."""

    def __init__(self, width: int, inner: int, maps: int, classes: int) -> None:
        super().__init__()
        self.scales = nn.ModuleList([conv_bn_relu(width, inner)])
        for doublings in range(1, maps):
            widths = pairwise([width] + [inner] * doublings)
            layers = [layer for a, b in widths for layer in (conv_bn_relu(a, b), Enlarge(2.0, "bilinear"))]
            self.scales.append(nn.Sequential(*layers))
        self.classify = nn.Conv2d(inner, classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps of a FeaturePyramid to logits (N, C, h, w) of the finest one's size."""
        first, *others = (scale(each) for scale, each in zip(self.scales, maps))
        return self.classify(sum(others, first))  # type: ignore[no-any-return]


class PointHead(nn.Module):
    """Classifier of points: 1x1 convolutions, each of which takes the coarse logits, too."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(width + classes, width, 1) for _ in range(LAYERS))
        self.classify = nn.Conv2d(width + classes, classes, 1)

    def forward(self, fine: Tensor, coarse: Tensor) -> Tensor:
        """(N, width, P, 1) and (N, C, P, 1) to logits (N, C, P, 1)."""
        for layer in self.layers:
            fine = torch.relu(layer(torch.cat([fine, coarse], 1)))
        return self.classify(torch.cat([fine, coarse], 1))  # type: ignore[no-any-return]


def least_certain(logits: Tensor, points: int) -> Tensor:
    """Indices (N, P) into the flattened map of the points whose best two logits are closest."""
    best = logits.topk(2, 1).values
    margin = (best[:, 0] - best[:, 1]).flatten(1)
    points, chosen = min(points, margin.shape[1]), []
    for start in range(0, points, LARGEST_TOPK):
        values, indices = margin.topk(min(LARGEST_TOPK, points - start), 1, largest=False)
        chosen.append(indices)
        margin = margin.scatter(1, indices, values + CHOSEN)
    return torch.cat(chosen, 1)


def corners_of(indices: Tensor, size: tuple[int, int], factor: int) -> tuple[Tensor, Tensor]:
    """Where cells of a grid lie on a map that is padded by one cell, and `factor` (even) times as coarse as the grid.

    indices: (N, P) of cells of the grid, whose `size` is (H, W). Indices (N, 4P) into the padded map of the four cells
    around each cell's centre, and their bilinear weights (N, 1, 4, P). Integers, for float16 has no large ones.
    """
    half, (_, width) = factor // 2, size
    down, across = indices // width + half, indices % width + half  # by 1/factor of a cell; the padding is cell 0
    stride = width // factor + 2
    corner = down // factor * stride + across // factor
    low, right = (((steps % factor).float() + 0.5) / factor for steps in (down, across))
    shares = ((1 - low) * (1 - right), (1 - low) * right, low * (1 - right), low * right)
    corners = torch.cat([corner, corner + 1, corner + stride, corner + stride + 1], 1)
    return corners, torch.stack(shares, 1).unsqueeze(1)


def sampled(x: Tensor, corners: Tensor, weights: Tensor) -> Tensor:
    """The map (N, C, h, w), 0 beyond its border, at the points of `corners_of`: (N, C, P, 1)."""
    padded = F.pad(x, (1, 1, 1, 1)).flatten(2)
    values = padded.gather(2, corners.unsqueeze(1).expand(-1, x.shape[1], -1))
    return (values.reshape(*x.shape[:2], 4, -1) * weights).sum(2).unsqueeze(3)


class PointRend(nn.Module):
    """The network.

    depth, width: of the ResNet. channels: of the pyramid and the classifier of points, half of them in the coarse head.
    points: how many are classified anew in each step. auxiliary: the coarse logits are an output of training.
    """

    def __init__(
        self, classes: int, *, depth: int, width: int, channels: int, points: int, auxiliary: bool = False
    ) -> None:
        super().__init__()
        self.points, self.auxiliary = points, auxiliary
        self.backbone = resnet_of_code("mmseg", depth, width, output_stride=32)
        self.pyramid = FeaturePyramid(self.backbone.channels, channels)
        self.point_head = PointHead(channels, classes)
        self.coarse_head = PanopticHead(channels, channels // 2, len(self.backbone.channels), classes)
        for part in (self.pyramid, self.point_head, self.coarse_head):
            kaiming_init(part)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H, W); in training a list, with the coarse ones (N, C, H/4, W/4) behind."""
        maps = self.pyramid(self.backbone(x))
        coarse = self.coarse_head(maps)
        logits = coarse
        for step in range(1, STEPS + 1):
            logits = F.interpolate(logits, scale_factor=2.0, mode="bilinear")
            logits = self.refined(logits, coarse, maps[0], 2**step)
        if not self.training:
            return logits  # type: ignore[no-any-return]
        return [logits, coarse] if self.auxiliary else [logits]

    def refined(self, logits: Tensor, coarse: Tensor, fine: Tensor, factor: int) -> Tensor:
        """`logits` (N, C, h, w), `factor` times as large as the maps, with those of the least certain points anew."""
        classes, *size = logits.shape[1:]
        indices = least_certain(logits, self.points // TRAINED if self.training else self.points)
        corners = corners_of(indices, (size[0], size[1]), factor)
        points = self.point_head(*(sampled(each, *corners) for each in (fine, coarse)))
        places = indices.unsqueeze(1).expand(-1, classes, -1)
        return logits.flatten(2).scatter(2, places, points.squeeze(3)).reshape(logits.shape)


FAMILY = Family(
    name="pointrend",
    group="points",
    variants={
        "resnet50": {"depth": 50, "width": 64, "channels": 256, "points": 8196},
        "resnet101": {"depth": 101, "width": 64, "channels": 256, "points": 8196},
        "tiny": {"depth": 10, "width": 8, "channels": 32, "points": 64},
    },
    module=PointRend,
    size_rule=SizeRule(multiple=32, minimum=64),
    stride=1,
    align_corners=False,
    origin="arXiv 1912.08193; compared with mmsegmentation",
    reference=Reference(
        "Cityscapes val 78.9 mIoU; 76.5 (mmsegmentation, ResNet50)",
        counts={"resnet50": (28.72, 90.5 + STEPS * 1.77)},
        licence="Apache-2.0",
    ),
    encoder=BACKBONE,
)
