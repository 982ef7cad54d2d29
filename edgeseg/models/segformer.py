"""SegFormer: a hierarchical transformer encoder (Mix Transformer) and a decoder of 1x1 convolutions alone.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", NeurIPS 2021,
arXiv 2105.15203. The paper states 3.8 M parameters, 8.4 GFLOPs at 512x512 and 125.5 at 2048x1024 for B0; 13.7 M, 15.9
and 243.7 for B1. Its FLOPs are multiply-adds, and with 150 classes in every column, Cityscapes' too. With the 19
classes of Cityscapes at 1024x512 the reference implementation has 3.719 M and 17.76 G (B0), 13.682 M and 34.82 G (B1).
This file has the same parameters and function in 9.20 and 26.30 G, 0.03 and 0.07 of which an export has done for good:
the decoder multiplies weights with weights before it multiplies activations.

Every linear layer that stands beside a convolution is written as a 1x1 convolution, which is the same sum: the maps
of the feed-forward layer are then transposed once at their narrow ends in place of once at their wide middle, and
the decoder needs no transposition. Reference implementations differ in the epsilon of layer norm: NVlabs has 1e-6 but
for patch embedding and attention, mmsegmentation 1e-6, transformers 1e-5 everywhere, which is the default here.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.errors import UnknownNameError
from edgeseg.models.attention import (
    EXPANSION,
    DropPath,
    Heads,
    draw_weights,
    map_from_tokens,
    rising,
    tokens_from_map,
)
from edgeseg.models.family import Family, Reference
from edgeseg.models.layers import conv_bn_relu
from edgeseg.models.variant import text_from_arguments
from edgeseg.spec import SizeRule

HEADS = (1, 2, 5, 8)
REDUCTIONS = (8, 4, 2, 1)
DROP_PATH = 0.1


class ReducedAttention(Heads):
    """Attention of all positions to a map that is `reduction` times smaller in each direction."""

    def __init__(self, channels: int, heads: int, reduction: int) -> None:
        super().__init__(channels, heads)
        self.reduce = nn.Conv2d(channels, channels, reduction, reduction) if reduction > 1 else None
        self.norm = nn.LayerNorm(channels) if reduction > 1 else None

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, H*W, C) of a map of `size` (H, W), same shape out."""
        source = tokens
        if self.reduce is not None and self.norm is not None:
            source = self.norm(tokens_from_map(self.reduce(map_from_tokens(tokens, size))))
        return self.attend(tokens, source)


def feed_forward(channels: int) -> nn.Sequential:
    """Mix-FFN: widen by 4, depthwise 3x3 (which tells a position from its neighbours), GELU, narrow."""
    wide = channels * EXPANSION
    return nn.Sequential(
        nn.Conv2d(channels, wide, 1),
        nn.Conv2d(wide, wide, 3, padding=1, groups=wide),
        nn.GELU(),
        nn.Conv2d(wide, channels, 1),
    )


class Block(nn.Module):
    """Attention and feed-forward layer, each normalised before and added behind."""

    def __init__(self, channels: int, heads: int, reduction: int, drop: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.attention = ReducedAttention(channels, heads, reduction)
        self.feed = feed_forward(channels)
        self.drop = DropPath(drop)

    def forward(self, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """(N, H*W, C) of a map of `size` (H, W), same shape out."""
        tokens = tokens + self.drop(self.attention(self.norm1(tokens), size))
        fed = self.feed(map_from_tokens(self.norm2(tokens), size))
        return tokens + self.drop(tokens_from_map(fed))  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Overlapping patch embedding (7x7 stride 4, or 3x3 stride 2), then one block for each of `drops`."""

    def __init__(self, channels: int, out: int, heads: int, reduction: int, drops: list[float], *, first: bool) -> None:
        super().__init__()
        kernel, stride = (7, 4) if first else (3, 2)
        self.embed = nn.Conv2d(channels, out, kernel, stride, kernel // 2)
        self.embed_norm = nn.LayerNorm(out)
        self.blocks = nn.ModuleList(Block(out, heads, reduction, drop) for drop in drops)
        self.norm = nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H/stride, W/stride)."""
        x = self.embed(x)
        size = (x.shape[2], x.shape[3])
        tokens = self.embed_norm(tokens_from_map(x))
        for block in self.blocks:
            tokens = block(tokens, size)
        return map_from_tokens(self.norm(tokens), size)


class Decoder(nn.Module):
    """Every level to `width` channels and to the size of the first, concatenated deepest first, fused, classified.

    A 1x1 convolution commutes with bilinear resizing, whose weights add up to 1. So a level's own convolution and its
    part of the fusing one are multiplied with each other, and applied before the level is enlarged: the same function
    with neither the concatenation nor the convolution over it. In evaluation the batch norm is multiplied in, too.
    """

    def __init__(self, channels: tuple[int, ...], width: int, classes: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(self.level(c, width) for c in channels)
        self.fuse = conv_bn_relu(width * len(channels), width, 1)
        self.dropout = nn.Dropout2d(0.1)
        self.classify = nn.Conv2d(width, classes, 1)

    def level(self, channels: int, width: int) -> nn.Module:
        """The layer that a level enters by."""
        return nn.Conv2d(channels, width, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps at 1/4, 1/8, 1/16 and 1/32 to logits (N, classes, H/4, W/4)."""
        kernels, bias = self.product()
        fused = F.conv2d(features[0], kernels[0], bias)
        size = (fused.shape[2], fused.shape[3])
        for feature, kernel in zip(features[1:], kernels[1:]):
            fused = fused + F.interpolate(F.conv2d(feature, kernel), size, mode="bilinear", align_corners=False)
        norm = self.fuse[1] if self.training else nn.Identity()
        return self.classify(self.dropout(F.relu(norm(fused), inplace=True)))  # type: ignore[no-any-return]

    def product(self) -> tuple[list[Tensor], Tensor]:
        """One kernel (width, C, 1, 1) a level, and the one bias (width) of their sum."""
        fuse, norm = self.fuse[0], self.fuse[1]
        assert isinstance(fuse, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        own = fuse.weight.dtype
        # In float64 products of fp16 weights add up without rounding: an export has the same bytes on every machine.
        weight = fuse.weight.flatten(1).to(own if self.training else torch.float64)
        width = len(weight)
        starts = reversed(range(0, weight.shape[1], width))
        kernels, bias = self.entered([weight[:, start : start + width] for start in starts])
        if not self.training:
            scale = norm.weight / torch.sqrt(norm.running_var.to(weight.dtype) + norm.eps)
            kernels = [kernel * scale[:, None] for kernel in kernels]
            bias = (bias - norm.running_mean) * scale + norm.bias
        return [kernel[..., None, None].to(own) for kernel in kernels], bias.to(own)

    def entered(self, parts: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """`parts` (width, width), one a level, times the levels' own kernels and biases: (width, C) each, (width)."""
        kernels, biases = [], []
        for part, level in zip(parts, self.levels):
            kernels.append(part @ cast(Tensor, level.weight).flatten(1).to(part.dtype))
            biases.append(part @ cast(Tensor, level.bias).to(part.dtype))
        return kernels, torch.stack(biases).sum(0)


class NormedDecoder(Decoder):
    """The decoder of mmsegmentation: batch norm and ReLU behind each level's convolution, before it is fused.

    A ReLU does not let a convolution through, so here the fusing one alone is applied before a level is enlarged.
    """

    def level(self, channels: int, width: int) -> nn.Module:
        """1x1 convolution, batch norm, ReLU."""
        return conv_bn_relu(channels, width, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Maps at 1/4, 1/8, 1/16 and 1/32 to logits (N, classes, H/4, W/4)."""
        return super().forward([level(feature) for level, feature in zip(self.levels, features)])

    def entered(self, parts: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """`parts` as they are, and no bias."""
        return parts, parts[0].new_zeros(len(parts[0]))


DECODERS = {"linear": Decoder, "normed": NormedDecoder}


class SegFormer(nn.Module):
    """The network.

    width: decoder channels. decoder: a key of DECODERS. norm_eps: epsilon of the layer norms in blocks and behind
    stages. embed_eps: of those in patch embedding and in attention. auxiliary: taken for the family's sake, there are
    no such heads.
    """

    def __init__(
        self,
        classes: int,
        *,
        channels: tuple[int, ...],
        depths: tuple[int, ...],
        width: int,
        decoder: str = "linear",
        norm_eps: float = 1e-5,
        embed_eps: float = 1e-5,
        auxiliary: bool = False,
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            raise UnknownNameError.among("decoder of segformer", decoder, DECODERS)
        drops = iter(rising(DROP_PATH, sum(depths)))
        before = (3, *channels)
        self.stages = nn.ModuleList(
            Stage(before[i], channels[i], HEADS[i], REDUCTIONS[i], list(islice(drops, depths[i])), first=i == 0)
            for i in range(len(channels))
        )
        self.decoder = DECODERS[decoder](channels, width, classes)
        for name, layer in self.stages.named_modules():
            if isinstance(layer, nn.LayerNorm):
                layer.eps = embed_eps if name.endswith(("embed_norm", "attention.norm")) else norm_eps
        self.apply(draw_weights)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(N, 3, H, W) to logits (N, C, H/4, W/4); in training a list of that one."""
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        logits: Tensor = self.decoder(features)
        return [logits] if self.training else logits


def arguments(channels: tuple[int, ...], depths: tuple[int, ...], width: int) -> dict[str, object]:
    """The keyword arguments of a variant, with the decoder and epsilons of transformers."""
    epsilons = {"norm_eps": 1e-5, "embed_eps": 1e-5}
    return {"channels": channels, "depths": depths, "width": width, "decoder": "linear", **epsilons}


def variant_from_state(state: Mapping[str, Tensor], **changes: str | float) -> str:
    """The text of the variant: widths and depths from the shapes of `state`, which has this file's names."""
    stages = range(sum(key.endswith(".embed.weight") for key in state))
    widths = tuple(state[f"stages.{i}.embed.weight"].shape[0] for i in stages)
    depths = tuple(sum(f"stages.{i}.blocks.{j}.norm1.weight" in state for j in range(len(state))) for i in stages)
    values = {**arguments(widths, depths, state["decoder.fuse.0.weight"].shape[0]), **changes}
    sizes = ("channels", "depths", "width")
    same = [name for name, variant in FAMILY.variants.items() if all(variant[key] == values[key] for key in sizes)]
    return text_from_arguments(same[0] if same else "b0", values, FAMILY.variants)


NARROW, WIDE = (32, 64, 160, 256), (64, 128, 320, 512)

FAMILY = Family(
    name="segformer",
    group="transformer",
    variants={
        "b0": arguments(NARROW, (2, 2, 2, 2), 256),
        "b1": arguments(WIDE, (2, 2, 2, 2), 256),
        "b2": arguments(WIDE, (3, 4, 6, 3), 768),
        "b3": arguments(WIDE, (3, 4, 18, 3), 768),
        "b4": arguments(WIDE, (3, 8, 27, 3), 768),
        "b5": arguments(WIDE, (3, 6, 40, 3), 768),
    },
    module=SegFormer,
    size_rule=SizeRule(multiple=32, minimum=32),
    stride=4,
    align_corners=False,
    origin="arXiv 2105.15203; compared with transformers, whose decoder is that of NVlabs/SegFormer",
    reference=Reference(
        "Cityscapes val 76.2 mIoU (B0), 78.5 (B1), 81.0 (B2); 2048x1024",
        counts={"b0": (3.719, None), "b1": (13.682, None)},
        licence="LicenseRef-NVIDIA-non-commercial",
    ),
)
