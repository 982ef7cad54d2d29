"""Swin Transformer as a backbone: attention in windows, which every other block shifts; features at four scales.

Liu et al., "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", ICCV 2021, arXiv 2103.14030.

A map whose sides are no multiples of the window is padded with zeros on the right and at the bottom behind the norm,
as the reference implementations do, so that tokens of the padding take part in the attention of their window. The bias
of a block and the mask of a shift are two constants: one that held both would be as many times larger as there are
heads, and is no faster on ONNX Runtime and OpenVINO.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.attention import Block, draw_weights, rising, tokens_from_map

PATCH = 4
DROP_PATH = 0.3
MASKED = -100.0  # added to the products of tokens that were no neighbours before the shift


def rolled(x: Tensor, by: int, size: tuple[int, int]) -> Tensor:
    """`x` (N, H, W, C), rows and columns moved up and left by `by`, those that leave behind the others; `size` of them.

    An index tells the places: OpenVINO computes int8 products behind it, and not behind slices and a concatenation.
    """
    for axis, places in enumerate(size, 1):
        x = x.index_select(axis, (torch.arange(places, device=x.device) + by) % x.shape[axis])
    return x


def windows_from_map(x: Tensor, window: int) -> Tensor:
    """(N, H, W, C) to (N, windows, window * window, C)."""
    N, H, W, C = x.shape
    parts = x.reshape(N, H // window, window, W // window, window, C).transpose(2, 3)
    return parts.reshape(N, H * W // window**2, window**2, C)


def map_from_windows(windows: Tensor, size: tuple[int, int], window: int) -> Tensor:
    """(N, windows, window * window, C) to (N, H, W, C) with `size` (H, W)."""
    N, _, _, C = windows.shape
    H, W = size
    parts = windows.reshape(N, H // window, W // window, window, window, C).transpose(2, 3)
    return parts.reshape(N, H, W, C)


def shift_mask(size: tuple[int, int], window: int, shift: int) -> Tensor:
    """(windows, 1, L, L): 0 between tokens that are neighbours in a map of `size` (H, W) before it is shifted."""
    places = (torch.arange(side) - side for side in size)
    rows, columns = ((place >= -window).int() + (place >= -shift) for place in places)
    region = windows_from_map((rows[:, None] * 3 + columns)[None, :, :, None], window).reshape(-1, window**2)
    return (region[:, None, :, None] != region[:, None, None, :]).float() * MASKED


def relative_positions(window: int) -> Tensor:
    """(L, L): for each two positions in a window the row of the table of biases."""
    row, column = torch.arange(window).repeat_interleave(window), torch.arange(window).repeat(window)
    down, right = row[:, None] - row + window - 1, column[:, None] - column + window - 1
    return down * (2 * window - 1) + right


class SwinBlock(Block):
    """Attention in the windows of a map, which is shifted first if `shift` is not 0, and two linear layers."""

    def __init__(self, channels: int, heads: int, drop: float, *, window: int, shift: int) -> None:
        super().__init__(channels, heads, drop, eps=1e-5)
        self.window, self.shift = window, shift
        self.bias = nn.Parameter(torch.empty((2 * window - 1) ** 2, heads))
        nn.init.trunc_normal_(self.bias, std=0.02)

    def mix(self, tokens: Tensor) -> Tensor:
        """(N, H, W, C), same shape out."""
        _, height, width, _ = tokens.shape
        down, right = -height % self.window, -width % self.window
        size = (height + down, width + right)
        x = F.pad(tokens, (0, 0, 0, right, 0, down)) if down or right else tokens
        biases = [self.bias[relative_positions(self.window).to(x.device)].permute(2, 0, 1)]
        if self.shift:
            x = rolled(x, self.shift, size)
            biases.append(shift_mask(size, self.window, self.shift).to(x))
        x = self.attention(windows_from_map(x, self.window), biases)
        x = map_from_windows(x, size, self.window)
        if self.shift:
            return rolled(x, -self.shift, (height, width))
        return x[:, :height, :width] if down or right else x


class Merge(nn.Module):
    """Each 2x2 positions to one of twice as many channels: the first column's two, then the second's."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduce = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, H, W, C) to (N, H/2, W/2, 2C)."""
        N, H, W, C = x.shape
        x = x.reshape(N, H // 2, 2, W // 2, 2, C).permute(0, 1, 3, 4, 2, 5).reshape(N, H // 2, W // 2, 4 * C)
        return self.reduce(self.norm(x))  # type: ignore[no-any-return]


class Swin(nn.Module):
    """The backbone. Sides of the input are multiples of 32.

    embed: channels of the first stage, which double in each. depths, heads: of the four stages. window: its side.
    `channels` tells what each stage gives.
    """

    def __init__(self, embed: int, depths: Sequence[int], heads: Sequence[int], window: int) -> None:
        super().__init__()
        self.channels = tuple(embed * 2**n for n in range(len(depths)))
        self.embed = nn.Conv2d(3, embed, PATCH, PATCH)
        self.embed_norm = nn.LayerNorm(embed)
        drops = iter(rising(DROP_PATH, sum(depths)))
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    SwinBlock(channels, count, drop, window=window, shift=window // 2 * (n % 2))
                    for n, drop in enumerate(islice(drops, depth))
                )
            )
            for channels, depth, count in zip(self.channels, depths, heads, strict=True)
        )
        self.merges = nn.ModuleList(Merge(channels) for channels in self.channels[:-1])
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in self.channels)
        self.apply(draw_weights)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to maps (N, C, h, w) at 1/4, 1/8, 1/16 and 1/32 of the size."""
        x = self.embed(image)
        x = self.embed_norm(tokens_from_map(x)).reshape(x.shape[0], *x.shape[2:], x.shape[1])
        features = []
        for n, (stage, norm) in enumerate(zip(self.stages, self.norms)):
            x = stage(x if n == 0 else self.merges[n - 1](x))
            features.append(norm(x).permute(0, 3, 1, 2))
        return features
