"""Vision Transformer as a backbone: patches of 16x16 pixels as tokens, and the token of the class in front of them.

Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", ICLR 2021, arXiv
2010.11929; DeiT, arXiv 2012.12877, has a second token in front, of the teacher. The position embedding is resized to
the input; an export has done this for good.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeseg.models.attention import Block, draw_weights, rising, tokens_from_map

PATCH = 16
DROP_PATH = 0.1


class ViT(nn.Module):
    """The backbone.

    channels: of a token. depth: blocks. heads: of each. grid: positions by side of the square embedding.
    resize: of the embedding to other sizes, "bicubic" or "bilinear". eps: of the norms. first: tokens before the
    patches.
    """

    def __init__(
        self, channels: int, depth: int, heads: int, *, grid: int, resize: str, eps: float, first: int = 1
    ) -> None:
        super().__init__()
        self.grid, self.resize, self.first = grid, resize, first
        self.embed = nn.Conv2d(3, channels, PATCH, PATCH)
        self.tokens = nn.Parameter(torch.empty(1, first, channels))
        self.positions = nn.Parameter(torch.empty(1, first + grid**2, channels))
        self.blocks = nn.ModuleList(Block(channels, heads, drop, eps=eps) for drop in rising(DROP_PATH, depth))
        self.apply(draw_weights)
        for start in (self.tokens, self.positions):
            nn.init.trunc_normal_(start, std=0.02)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(N, 3, H, W) to what each block gives, (N, first + H/16*W/16, C)."""
        x = self.embed(image)
        # Rows of zeros to which the first tokens are added: joining constants would not take several images at once.
        tokens = F.pad(tokens_from_map(x), (0, 0, self.first, 0)) + self.places((x.shape[2], x.shape[3]))
        features = []
        for block in self.blocks:
            tokens = block(tokens)
            features.append(tokens)
        return features

    def places(self, size: tuple[int, int]) -> Tensor:
        """(1, first + h*w, C): the first tokens, and the positions of all tokens for a map of `size` (h, w)."""
        front, patches = self.positions[:, : self.first], self.positions[:, self.first :]
        if size != (self.grid, self.grid):
            square = patches.transpose(1, 2).reshape(1, -1, self.grid, self.grid)
            patches = tokens_from_map(F.interpolate(square, size, mode=self.resize, align_corners=False))
        return torch.cat([self.tokens + front, patches], 1)
