"""Weights of the classes, by how often they occur in the training images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeseg.train.losses.loss import IGNORE


@dataclass(frozen=True)
class ClassCounts:
    """pixels: (C,) of each class. within: (C,) labelled pixels of the images in which each class occurs."""

    pixels: Tensor
    within: Tensor

    @property
    def shares(self) -> Tensor:
        """(C,) share of each class among the labelled pixels."""
        return self.pixels / self.pixels.sum()


def counts_from_labels(images: Iterable[NDArray[np.uint8]], classes: int) -> ClassCounts:
    """The counts of label images (H, W)."""
    counts = np.stack([np.bincount(ids.ravel(), minlength=IGNORE + 1)[:classes] for ids in images])
    within = (counts.sum(1, keepdims=True) * (counts > 0)).sum(0)
    return ClassCounts(*(torch.tensor(values, dtype=torch.float32) for values in (counts.sum(0), within)))


def log_weights(counts: ClassCounts) -> Tensor:
    """1 / ln(1.02 + share) (Paszke et al., "ENet", arXiv 1606.02147, section 5.2)."""
    return 1.0 / torch.log(1.02 + counts.shares)


def median_weights(counts: ClassCounts) -> Tensor:
    """Median frequency over frequency, the share of a class in the images that have it; 1 for one that never occurs.

    Eigen, Fergus, ICCV 2015, arXiv 1411.4734, section 6.3.2, as in SegNet, arXiv 1511.00561.
    """
    occurs = counts.pixels > 0
    frequency = counts.pixels / counts.within.clamp_min(1)
    median = torch.quantile(frequency[occurs], 0.5)
    return torch.where(occurs, median / frequency.where(occurs, 1), 1.0)


CLASS_WEIGHTS: dict[str, Callable[[ClassCounts], Tensor]] = {"log": log_weights, "median": median_weights}


def balanced_class_weights(counts: ClassCounts, balance: float = 1.0, rule: str = "log") -> Tensor:
    """The weights of a rule of CLASS_WEIGHTS to the power of `balance`, scaled to a mean of 1.

    balance: 1 as in the papers, 0 for equal weights; it raises the recall of rare classes, and lowers their precision.
    """
    weights = CLASS_WEIGHTS[rule](counts) ** balance
    return weights / weights.mean()
