"""What a loss is, and the pixels that it judges."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

IGNORE = 255


@dataclass(frozen=True)
class Target:
    """The truth at the judged pixels, one of each block of the label images.

    labels: (N, h, w) int64, IGNORE where there is none. class_weights: (C,).
    full: (N, H, W), the label images; labels[n, y, x] is full[n, row + step * y, column + step * x].
    """

    labels: Tensor
    class_weights: Tensor
    full: Tensor
    step: int = 1
    row: int = 0
    column: int = 0

    @property
    def labelled(self) -> Tensor:
        """(N, h, w) bool."""
        return self.labels != IGNORE

    @property
    def pixel_weights(self) -> Tensor:
        """(N, h, w): the weight of each pixel's class, 0 where there is none."""
        weights: Tensor = self.class_weights[self.labels.where(self.labelled, 0)] * self.labelled
        return weights

    def at_pixels(self, values: Tensor) -> Tensor:
        """(N, h, w) of values (N, H, W) of all pixels."""
        return values[:, self.row :: self.step, self.column :: self.step]


class Loss(Protocol):
    """A frozen dataclass whose fields, all of them numbers made by `number`, are the options of the loss.

    by_pixel: the loss is a mean over pixels, which auxiliary heads have too. Otherwise it compares whole classes, and
        only the main head has it.
    """

    by_pixel: ClassVar[bool]
    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init__(self, **options: float) -> None: ...

    def __call__(self, logits: Tensor, target: Target) -> Tensor:
        """The loss of logits (N, C, h, w), float32, at the pixels of `target`; 0 where none is labelled."""
        ...


def number(default: float, most: float) -> Any:
    """An option of a loss: a number above 0 and at most `most`."""
    return dataclasses.field(default=default, metadata={"most": most})


def weighted_mean(losses: Tensor, weights: Tensor) -> Tensor:
    """The mean of (N, h, w) losses; 0 where all weights are."""
    return (losses * weights).sum() / weights.sum().clamp_min(1e-6)


def one_hot(target: Target, classes: int) -> Tensor:
    """(N, C, h, w) float: 1 at the class of each labelled pixel."""
    truth = torch.nn.functional.one_hot(target.labels.where(target.labelled, 0), classes).permute(0, 3, 1, 2)
    return truth.float() * target.labelled.unsqueeze(1)
