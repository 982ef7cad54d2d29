"""What the transformers share: tokens of maps, multi-head attention, the block around it, and how weights begin.

Tokens have the channels last: (N, L, C), or (N, windows, L, C) where each window is a sequence of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

EXPANSION = 4


def tokens_from_map(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, H*W, C)."""
    return x.flatten(2).transpose(1, 2)


def map_from_tokens(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, H*W, C) to (N, C, H, W)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *size)


class DropPath(nn.Module):
    """Stochastic depth: in training drops the branch of an image, and scales the remaining ones."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """Same shape in and out."""
        if not self.training or not self.probability:
            return x
        keep = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(1 - self.probability)
        return x * keep / (1 - self.probability)


def rising(largest: float, blocks: int) -> list[float]:
    """The probabilities of `DropPath` of that many blocks: from 0 to `largest`, evenly."""
    return [largest * i / max(blocks - 1, 1) for i in range(blocks)]


class Heads(nn.Module):
    """The layers of multi-head attention."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(channels, channels)
        self.key = nn.Linear(channels, channels)
        self.value = nn.Linear(channels, channels)
        self.project = nn.Linear(channels, channels)

    def attend(self, tokens: Tensor, source: Tensor, biases: Sequence[Tensor] = ()) -> Tensor:
        """(..., L, C) of tokens that look at `source` (..., S, C), same shape out.

        biases: are added to the products of queries and keys, (..., heads, L, S).
        """
        query, key, value = (
            self.split(linear(x)) for linear, x in ((self.query, tokens), (self.key, source), (self.value, source))
        )
        # Written out: F.scaled_dot_product_attention is exported with more reshapes, transposes and multiplications.
        products = query * query.shape[-1] ** -0.5 @ key.transpose(-2, -1)
        for bias in biases:
            products = products + bias
        share = torch.softmax(products, products.ndim - 1)
        return self.project((share @ value).transpose(-3, -2).flatten(-2))  # type: ignore[no-any-return]

    def split(self, tokens: Tensor) -> Tensor:
        """(..., L, C) to (..., heads, L, C/heads)."""
        *before, C = tokens.shape
        return tokens.reshape(*before, self.heads, C // self.heads).transpose(-3, -2)


class Attention(Heads):
    """Multi-head attention of each token to all the tokens of its sequence."""

    def forward(self, tokens: Tensor, biases: Sequence[Tensor] = ()) -> Tensor:
        """(..., L, C), same shape out. biases: see `attend`."""
        return self.attend(tokens, tokens, biases)


class Block(nn.Module):
    """Attention and two linear layers, each normalised before and added behind."""

    def __init__(self, channels: int, heads: int, drop: float, *, eps: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(channels, eps), nn.LayerNorm(channels, eps)
        self.attention = Attention(channels, heads)
        wide = channels * EXPANSION
        self.feed = nn.Sequential(nn.Linear(channels, wide), nn.GELU(), nn.Linear(wide, channels))
        self.drop = DropPath(drop)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, ..., C), same shape out."""
        tokens = tokens + self.drop(self.mix(self.norm1(tokens)))
        return tokens + self.drop(self.feed(self.norm2(tokens)))  # type: ignore[no-any-return]

    def mix(self, tokens: Tensor) -> Tensor:
        """The attention."""
        return self.attention(tokens)  # type: ignore[no-any-return]


def draw_weights(layer: nn.Module) -> None:
    """For `Module.apply`: 0.02 for linear layers and 1x1 convolutions, by fan-out for convolutions, no bias."""
    if not isinstance(layer, (nn.Linear, nn.Conv2d)):
        return
    linear = isinstance(layer, nn.Linear) or layer.kernel_size == (1, 1)
    fan_out = layer.weight.shape[0] * math.prod(layer.weight.shape[2:]) // getattr(layer, "groups", 1)
    std = 0.02 if linear else math.sqrt(2 / fan_out)
    nn.init.normal_(layer.weight, std=std)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
