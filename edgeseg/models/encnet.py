"""EncNet: the map is compared with learned codewords; what they gather scales each channel of the map.

Zhang et al., "Context Encoding for Semantic Segmentation", CVPR 2018, arXiv 1803.08904. With a dilated ResNet50 33.52 M
parameters and 281.4 G multiply-adds at 1024x512 (mmsegmentation). The mean of the codes is taken over the codewords.
Here distances and sums of residuals are matrix products, |x|^2 - 2 x.c + |c|^2 and A^T x - sum(A) c, in place of a
tensor of all differences: 2 x 0.13 G multiply-adds that the reference's count does not see. In training the encoding
also says which classes occur in the image.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgeseg.models.dilated import DilatedNet, dilated_family
from edgeseg.models.family import Reference
from edgeseg.models.layers import conv_bn_relu
from edgeseg.models.resnet import resnet_of_code

CODES = 32


class Encoding(nn.Module):
    """Residuals of all positions to each codeword, summed with the softmax of their scaled distances as weights."""

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__()
        bound = (codes * channels) ** -0.5
        self.codewords = nn.Parameter(torch.empty(codes, channels).uniform_(-bound, bound))
        self.scale = nn.Parameter(torch.empty(codes).uniform_(-1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, codes, channels)."""
        tokens = x.flatten(2).transpose(1, 2)
        distances = tokens.square().sum(2, keepdim=True) - 2 * tokens @ self.codewords.T
        distances = distances + self.codewords.square().sum(1)
        weights = torch.softmax(self.scale * distances, 2)
        return weights.transpose(1, 2) @ tokens - weights.sum(1).unsqueeze(2) * self.codewords


class EncodingHead(nn.Module):
    """3x3 convolution; a gate for each channel from the encoding of a 1x1 convolution; classifier.

    auxiliary: a classifier of the whole image, by the encoding.
    """

    def __init__(self, channels: int, width: int, classes: int, *, auxiliary: bool) -> None:
        super().__init__()
        self.enter = conv_bn_relu(channels, width)
        self.project = conv_bn_relu(width, width, 1)
        self.encoding = Encoding(width, CODES)
        self.norm = nn.BatchNorm2d(CODES)
        self.scale = nn.Linear(width, width)
        self.presence = nn.ModuleList(nn.Linear(width, classes) for _ in range(auxiliary))
        self.classify = nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(width, classes, 1))

    def forward(self, features: Sequence[Tensor]) -> Tensor | list[Tensor]:
        """Features of the stages, the last one (N, channels, h, w), to logits (N, C, h, w).

        In training a list, with those of the whole image (N, C, 1, 1) behind.
        """
        x = self.enter(features[-1])
        codes = torch.relu(self.norm(self.encoding(self.project(x)).unsqueeze(3))).squeeze(3)
        encoded = codes.mean(1)
        scale = torch.sigmoid(self.scale(encoded))[:, :, None, None]
        logits: Tensor = self.classify(torch.relu(x + x * scale))
        if not self.training:
            return logits
        return [logits, *(presence(encoded)[:, :, None, None] for presence in self.presence)]


def encnet(classes: int, *, depth: int, width: int, channels: int, auxiliary: bool = False) -> DilatedNet:
    """The network. depth, width: of the ResNet. channels: of the head."""
    backbone = resnet_of_code("mmseg", depth, width)
    decoder = EncodingHead(backbone.channels[3], channels, classes, auxiliary=auxiliary)
    return DilatedNet(backbone, decoder, classes, auxiliary=auxiliary)


FAMILY = dilated_family(
    "encnet",
    encnet,
    group="context",
    origin="arXiv 1803.08904; compared with mmsegmentation",
    reference=Reference(
        "ADE20K val 44.65 mIoU (ResNet101); Cityscapes val 77.9 (mmsegmentation, ResNet50)",
        counts={"resnet50": (33.52, 281.4)},
        licence="Apache-2.0",
    ),
    auxiliary=("head.presence.",),
)
