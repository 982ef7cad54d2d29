"""Depthwise convolutions whose gradients are computed in fp32: in bf16 on a CPU, torch has no fast kernels for them.

Those of torch 2.13 for the gradients with stride 2, and for the weights of 5x5 kernels, take several times as long as
in fp32, and most of a training step of EfficientNet-Lite.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution: forward in the number format of autocast, backward in fp32."""

    def forward(self, image: Tensor) -> Tensor:
        """(N, channels, H, W) to the output of `torch.nn.Conv2d`."""
        if not torch.is_autocast_enabled("cpu"):
            return super().forward(image)
        dtype = torch.get_autocast_dtype("cpu")
        geometry = (self.stride, self.padding, self.dilation, self.groups)
        out: Tensor = _Gradients.apply(image.to(dtype), self.weight.to(dtype), geometry)  # type: ignore[no-untyped-call]
        return out if self.bias is None else out + self.bias.to(dtype)[:, None, None]


class _Gradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, image: Tensor, weight: Tensor, geometry: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(image, weight)
        ctx.geometry = geometry
        return torch.conv2d(image, weight, None, *geometry)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        image, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.geometry
        of_image, of_weight, _ = torch.ops.aten.convolution_backward(
            gradients[0].float(), image.float(), weight.float(), None, stride, padding, dilation, False, (0, 0), groups,
            (True, True, False),
        )  # fmt: skip
        return of_image.to(image.dtype), of_weight.to(weight.dtype), None


def use_fp32_gradients(network: nn.Module) -> None:
    """Make the depthwise convolutions of `network` compute their gradients in fp32."""
    for layer in network.modules():
        if type(layer) is nn.Conv2d and layer.groups == layer.in_channels > 1 and layer.padding_mode == "zeros":
            layer.__class__ = DepthwiseConv2d
