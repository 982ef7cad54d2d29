"""Segmenter: a Vision Transformer, and a decoder in which one more token a class looks at the patches.

Strudel et al., "Segmenter: Transformer for Semantic Segmentation", ICCV 2021, arXiv 2105.05633. A logit is the cosine
of a patch and a class, normalised over the classes. With 150 classes at 512x512 mmsegmentation has 6.71 M parameters
and 12.6 G multiply-adds (T), 26.03 M and 38.4 G (S). Implementations differ in the epsilon of the backbone's norms and
in the resizing of positions: mmsegmentation has 1e-6 and bicubic, the authors 1e-5 and bilinear.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.attention import Block, draw_weights, map_from_tokens, rising
from edgeseg.models.family import Family, Reference
from edgeseg.models.vit import DROP_PATH, PATCH, ViT
from edgeseg.spec import SizeRule

LAYERS = 2


def unit(x: Tensor) -> Tensor:
    """`x`, each vector (the last axis) of length 1. Written out: not every engine has the norm as an operator."""
    return x / (x * x).sum(-1, keepdim=True).sqrt()


class MaskDecoder(nn.Module):
    """Patches and tokens of the classes through two blocks, then the cosine of each patch and each class."""

    def __init__(self, channels: int, heads: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.enter = nn.Linear(channels, channels)
        self.tokens = nn.Parameter(torch.empty(1, classes, channels))
        self.blocks = nn.ModuleList(Block(channels, heads, drop, eps=1e-5) for drop in rising(DROP_PATH, LAYERS))
        self.norm = nn.LayerNorm(channels)
        self.project_patches = nn.Linear(channels, channels, bias=False)
        self.project_classes = nn.Linear(channels, channels, bias=False)
        self.mask_norm = nn.LayerNorm(classes)
        self.apply(draw_weights)
        nn.init.trunc_normal_(self.tokens, std=0.02)

    def forward(self, patches: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, h*w, C) of a map of `size` (h, w) to logits (N, classes, h, w)."""
        count = patches.shape[1]
        # Rows of zeros to which the classes are added, as in ViT.
        x = F.pad(self.enter(patches), (0, 0, 0, self.classes)) + F.pad(self.tokens, (0, 0, count, 0))
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        patches, classes = unit(self.project_patches(x[:, :count])), unit(self.project_classes(x[:, count:]))
        return map_from_tokens(self.mask_norm(patches @ classes.transpose(1, 2)), size)


class Segmenter(nn.Module):
    """The network. Arguments as for ViT; it has no auxiliary heads."""

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
        first: int,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        self.backbone = ViT(channels, depth, heads, grid=grid, resize=resize, eps=eps, first=first)
        self.norm = nn.LayerNorm(channels, eps)
        self.head = MaskDecoder(channels, heads, classes)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/16, W/16); in training a list of that one."""
        patches = self.norm(self.backbone(x)[-1])[:, self.backbone.first :]
        logits: Tensor = self.head(patches, (x.shape[2] // PATCH, x.shape[3] // PATCH))
        return [logits] if self.training else logits


def arguments(channels: int, heads: int, depth: int = 12, grid: int = 32) -> dict[str, object]:
    """The keyword arguments of a variant, with the positions and epsilon of mmsegmentation."""
    shape = {"channels": channels, "depth": depth, "heads": heads, "grid": grid}
    return {**shape, "resize": "bicubic", "eps": 1e-6, "first": 1}


FAMILY = Family(
    name="segmenter",
    group="transformer",
    variants={
        "t-mask": arguments(192, 3),
        "s-mask": arguments(384, 6),
        "b-mask": arguments(768, 12),
        "l-mask": arguments(1024, 16, depth=24, grid=40),
        "tiny": arguments(32, 2, depth=2, grid=4),
    },
    module=Segmenter,
    size_rule=SizeRule(multiple=16, minimum=64),
    stride=16,
    align_corners=False,
    origin="arXiv 2105.05633; compared with mmsegmentation and the authors' code",
    reference=Reference(
        "ADE20K val 40.0 mIoU (T), 46.2 (S); 512x512",
        counts={"t-mask": (6.71, 12.6), "s-mask": (26.03, 38.4)},
        licence="Apache-2.0",
        size=(512, 512),
        classes=150,
    ),
)
