"""Copy-paste of rare classes: their pixels of one crop are put on another crop of the batch.

Ghiasi et al., "Simple copy-paste is a strong data augmentation method for instance segmentation", CVPR 2021, arXiv
2012.07177, with classes in place of objects; both crops are scaled, moved and flipped before, and edges stay hard.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeseg.train.losses.class_weights import ClassCounts

Array = NDArray[np.uint8]
RARE = 0.5  # of the median share


def rare_classes(counts: ClassCounts) -> Array:
    """The ids of the classes that occur, and have less than half of the median class's pixels.

    In CamVid these are Pole, SignSymbol, Fence, Pedestrian and Bicyclist.
    """
    pixels = counts.pixels.numpy()
    limit = RARE * np.median(pixels[pixels > 0])
    return np.flatnonzero((pixels > 0) & (pixels < limit)).astype(np.uint8)


def paste_rare(
    pairs: Sequence[tuple[Array, Array]], rare: Array, probability: float, rng: np.random.Generator
) -> list[tuple[Array, Array]]:
    """Images (H, W, 3) and labels (H, W) of one size; some have the rare classes' pixels of the next one on them."""
    mixed = []
    for (rgb, labels), (other_rgb, other_labels) in zip(pairs, [*pairs[1:], pairs[0]]):
        mask = np.isin(other_labels, rare) & (rng.random() < probability)
        mixed.append((np.where(mask[..., None], other_rgb, rgb), np.where(mask, other_labels, labels)))
    return mixed
