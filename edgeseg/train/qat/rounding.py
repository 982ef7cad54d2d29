"""Rounding to 8-bit codes, equal to Q/DQ in every bit, with a gradient: the straight-through estimator.

Bengio, Leonard, Courville, "Estimating or propagating gradients through stochastic neurons", arXiv 1308.3432.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeseg.engines.pytorch_ops import along
from edgeseg.graph.qdq import LEVELS, MAX_BIAS_QUANTA, weight_scales


class StraightThrough(torch.autograd.Function):
    """Forward: `value`. Backward: the gradient goes to `x` where `inside`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, inside: Tensor | None) -> Tensor:
        """`value`. inside: bool of its shape, None for all."""
        ctx.inside = inside
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient, 0 outside."""
        (gradient,) = gradients
        return gradient if ctx.inside is None else gradient * ctx.inside, None, None


def rounded_activation(x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
    """`x` after QuantizeLinear and DequantizeLinear; no gradient where the codes saturate.

    scale: scalar. zero_point: scalar int8 or uint8.
    """
    with torch.no_grad():
        limits, shift = torch.iinfo(zero_point.dtype), int(zero_point)
        codes = (x.float() / scale).round_().add_(shift)
        clipped = codes.clamp(limits.min, limits.max)
        inside = clipped == codes
        value = clipped.sub_(shift).mul_(scale)
    rounded: Tensor = StraightThrough.apply(x, value, inside)  # type: ignore[no-untyped-call]
    return rounded


@dataclass(frozen=True)
class WeightRounding:
    """Rounds one weight as `quantize` does, with scales from its present values and bias.

    axis: of the output channels. activation_scale: of the activation that the weight multiplies.
    """

    axis: int
    activation_scale: float

    def __call__(self, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """`weight`, rounded. Its largest magnitude sets the scale, so no code saturates."""
        with torch.no_grad():
            scale = along(self.scales(weight, bias), weight, self.axis)
            value = (weight / scale).round_().clamp_(-LEVELS, LEVELS).mul_(scale)
        rounded: Tensor = StraightThrough.apply(weight, value, None)  # type: ignore[no-untyped-call]
        return rounded

    def scales(self, weight: Tensor, bias: Tensor | None) -> Tensor:
        """One per channel, from the function that `quantize` calls."""
        least = 0.0 if bias is None else bias_quanta(bias.detach().numpy()) / self.activation_scale
        return torch.from_numpy(weight_scales(weight.detach().numpy(), self.axis, least))


def bias_quanta(bias: NDArray[np.float32]) -> NDArray[np.float64]:
    """The least (activation scale * weight scale) by channel, as `edgeseg.graph.qdq.bias_limits` has it for a node."""
    return np.abs(bias.astype(np.float64)).reshape(-1) / MAX_BIAS_QUANTA
