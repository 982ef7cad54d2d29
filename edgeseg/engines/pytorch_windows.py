"""ONNX operators that move a window over a map, as torch functions: convolutions and poolings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from edgeseg.engines.pytorch_attributes import Attributes, Function, only


def window(attributes: Attributes) -> tuple[list[int], list[int], list[int]]:
    """(strides, pads, dilations) of a 2-D window; pads are (top, left, bottom, right)."""
    only(attributes, auto_pad=("NOTSET", "VALID"))
    if len(attributes.get("kernel_shape", (0, 0))) != 2:
        raise ValueError(f"kernel_shape={list(attributes['kernel_shape'])}")
    values = (attributes.get("strides", [1, 1]), attributes.get("pads", [0] * 4), attributes.get("dilations", [1, 1]))
    return tuple(list(value) for value in values)  # type: ignore[return-value]


def padded(x: Tensor, pads: Sequence[int], value: float = 0.0) -> Tensor:
    """`x` with (top, left, bottom, right) rows and columns of `value` around it."""
    top, left, bottom, right = pads
    return F.pad(x, (left, right, top, bottom), value=value) if any(pads) else x


def conv(attributes: Attributes) -> Function:
    """Conv, 2-D."""
    strides, pads, dilations = window(attributes)
    groups = attributes.get("group", 1)
    even = pads[:2] == pads[2:]

    def call(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        x = x if even else padded(x, pads)
        return F.conv2d(x, weight, bias, strides, pads[:2] if even else 0, dilations, groups)

    return call


def conv_transpose(attributes: Attributes) -> Function:
    """ConvTranspose, 2-D."""
    strides, pads, dilations = window(attributes)
    if pads[:2] != pads[2:] or "output_shape" in attributes:
        raise ValueError("output_shape or uneven pads")
    extra, groups = attributes.get("output_padding", [0, 0]), attributes.get("group", 1)

    def call(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv_transpose2d(x, weight, bias, strides, pads[:2], extra, groups, dilations)

    return call


def max_pool(attributes: Attributes) -> Function:
    """MaxPool, 2-D, the values alone. Both round up alike, but for a window that begins in padding of our own."""
    strides, pads, dilations = window(attributes)
    only(attributes, storage_order=(0,), ceil_mode=(0, 1) if pads[:2] == pads[2:] else (0,))
    kernel = list(attributes["kernel_shape"])
    if attributes.get("ceil_mode", 0):
        return lambda x: F.max_pool2d(x, kernel, strides, pads[:2], dilations, ceil_mode=True)
    return lambda x: F.max_pool2d(padded(x, pads, -math.inf), kernel, strides, 0, dilations)


def average_pool(attributes: Attributes) -> Function:
    """AveragePool, 2-D. ONNX leaves padding out of the mean by default, torch does not."""
    strides, pads, dilations = window(attributes)
    only(attributes, ceil_mode=(0,))
    counted = bool(attributes.get("count_include_pad", 0))
    if pads[:2] != pads[2:] or dilations != [1, 1]:
        raise ValueError("uneven pads or dilations")
    kernel = list(attributes["kernel_shape"])
    return lambda x: F.avg_pool2d(x, kernel, strides, pads[:2], count_include_pad=counted)
