"""ONNX's Resize, by its own formulas: torch's interpolate has only some of the coordinate rules."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

COORDINATES = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel")
ROUND: dict[str, Callable[[Tensor], Tensor]] = {
    "round_prefer_floor": lambda x: torch.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: torch.floor(x + 0.5),
    "floor": torch.floor,
    "ceil": torch.ceil,
}


def resize(attributes: Mapping[str, Any]) -> Callable[..., Tensor]:
    """Resize of the last two axes, linear or nearest. ValueError for cubic, cropping and antialiasing."""
    mode = option(attributes, "mode", "nearest", ("nearest", "linear"))
    rule = option(attributes, "coordinate_transformation_mode", "half_pixel", COORDINATES)
    rounding = option(attributes, "nearest_mode", "round_prefer_floor", tuple(ROUND))
    option(attributes, "keep_aspect_ratio_policy", "stretch", ("stretch",))
    if attributes.get("antialias") or "axes" in attributes:
        raise ValueError("antialias or axes")

    def call(x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None) -> Tensor:
        for axis in (-2, -1):
            old = x.shape[axis]
            if sizes is not None and sizes.numel():
                new = int(sizes[axis])
                scale = new / old
            elif scales is not None:
                scale = float(scales[axis])
                new = math.floor(old * scale)
            source = source_positions(old, new, scale, rule)
            x = nearest(x, axis, source, rounding) if mode == "nearest" else linear(x, axis, source)
        return x

    return call


def option(attributes: Mapping[str, Any], name: str, default: str, known: tuple[str, ...]) -> str:
    """A string attribute that must be one of `known`."""
    value = attributes.get(name, default)
    value = value.decode() if isinstance(value, bytes) else str(value)
    if value not in known:
        raise ValueError(f"{name}={value}")
    return value


@functools.lru_cache(maxsize=64)
def source_positions(old: int, new: int, scale: float, rule: str) -> Tensor:
    """The positions on an axis of `old` values of each of the `new` ones, by the formulas of ONNX's Resize."""
    at = torch.arange(new, dtype=torch.float64)
    if rule == "align_corners":
        return at * (old - 1) / (new - 1) if new > 1 else at * 0
    if rule == "asymmetric":
        return at / scale
    if rule == "pytorch_half_pixel" and new == 1:
        return at * 0
    return (at + 0.5) / scale - 0.5


def nearest(x: Tensor, axis: int, source: Tensor, rounding: str) -> Tensor:
    """The nearest value at each position."""
    return x.index_select(axis, ROUND[rounding](source).clamp(0, x.shape[axis] - 1).to(torch.int64))


def linear(x: Tensor, axis: int, source: Tensor) -> Tensor:
    """Interpolate between two neighbours; beyond the border take the border's value."""
    last = x.shape[axis] - 1
    source = source.clamp(0, last)
    below = source.floor().to(torch.int64)
    weight = (source - below).to(x.dtype).reshape([-1] + [1] * (-1 - axis))
    low, high = x.index_select(axis, below), x.index_select(axis, (below + 1).clamp(max=last))
    return torch.lerp(low, high, weight)
